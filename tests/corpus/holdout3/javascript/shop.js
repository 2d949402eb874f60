// Koa, Express 5, mysql2, pg, knex, mongoose, sequelize
const express = require('express')
const Koa = require('koa')
const Router = require('@koa/router')
const { exec, execFile, spawn, execSync } = require('node:child_process')
const crypto = require('node:crypto')
const fs = require('node:fs/promises')
const fsSync = require('fs')
const path = require('node:path')
const https = require('https')
const axios = require('axios').default
const mysql = require('mysql2/promise')
const { Pool } = require('pg')
const knex = require('knex')({ client: 'pg' })
const ldap = require('ldapjs')
const libxml = require('libxmljs2')
const serialize = require('node-serialize')
const multer = require('multer')
const nunjucks = require('nunjucks')
const pug = require('pug')
const handlebars = require('handlebars')
const jwt = require('jsonwebtoken')
const vm = require('vm')
const _ = require('lodash')
const yaml = require('js-yaml')
const session = require('express-session')
const { User, Order } = require('./models')

const app = express()
const router = new Router()
const pool = new Pool()

app.use(session({ secret: 'pR0ductionS3ssionKey!', resave: false }))

app.get('/orders', async (req, res) => {
  const { rows } = await pool.query(`SELECT * FROM orders WHERE status = '${req.query.status}'`)
  res.json(rows)
})

app.get('/orders2', async (req, res) => {
  const { rows } = await pool.query('SELECT * FROM orders WHERE status = $1', [req.query.status])
  res.json(rows)
})

router.get('/items/:id', async (ctx) => {
  const db = await mysql.createConnection(process.env.DB)
  const sql = 'SELECT * FROM items WHERE id = ' + ctx.params.id
  const [rows] = await db.execute(sql)
  ctx.body = rows
})

router.get('/items', async (ctx) => {
  ctx.body = await knex('items').whereRaw(`name ilike '%${ctx.query.q}%'`)
})

router.get('/items-safe', async (ctx) => {
  ctx.body = await knex('items').whereRaw('name ilike ?', [`%${ctx.query.q}%`])
})

app.post('/login', async (req, res) => {
  const user = await User.findOne({ name: req.body.name, password: req.body.password })
  res.json({ ok: !!user })
})

app.post('/thumb', (req, res) => {
  const { width, file } = req.body
  exec(`convert ${file} -resize ${width} out.png`, (err) => res.sendStatus(err ? 500 : 204))
})

app.post('/thumb2', (req, res) => {
  const { width, file } = req.body
  execFile('convert', [file, '-resize', width, 'out.png'], (err) => res.sendStatus(err ? 500 : 204))
})

app.get('/whois/:domain', (req, res) => {
  const out = execSync('whois ' + req.params.domain).toString()
  res.type('text').send(out)
})

app.get('/trace', (req, res) => {
  const p = spawn('sh', ['-c', 'traceroute ' + req.query.host])
  p.stdout.pipe(res)
})

app.get('/calc', (req, res) => {
  const f = new Function('x', 'return ' + req.query.expr)
  res.send(String(f(3)))
})

app.post('/rule', (req, res) => {
  res.json(vm.runInNewContext(req.body.rule, { order: {} }))
})

app.get('/later', (req, res) => {
  setTimeout(req.query.cb, 100)
  res.end()
})

app.get('/greet', (req, res) => {
  const name = req.query.name
  res.send('<h1>Hi ' + name + '</h1>')
})

app.get('/greet2', (req, res) => {
  res.send('<h1>Hi ' + _.escape(req.query.name) + '</h1>')
})

function showError (message) {
  document.querySelector('#error').innerHTML = location.hash.slice(1)
  document.querySelector('#error').textContent = message
}

app.post('/mail', (req, res) => {
  res.send(nunjucks.renderString(req.body.template, { user: req.user }))
})

app.post('/mail2', (req, res) => {
  const fn = pug.compile(req.body.layout)
  res.send(fn())
})

app.post('/mail3', (req, res) => {
  const fn = handlebars.compile('<p>{{name}}</p>')
  res.send(fn({ name: req.body.name }))
})

app.get('/file', (req, res) => {
  res.sendFile(path.join(__dirname, 'files', req.query.name))
})

app.get('/file2', (req, res) => {
  res.sendFile(path.basename(req.query.name), { root: path.join(__dirname, 'files') })
})

router.get('/log', async (ctx) => {
  ctx.body = await fs.readFile('/var/log/shop/' + ctx.query.day, 'utf8')
})

app.get('/lang', (req, res) => {
  const messages = require('./lang/' + req.query.lang)
  res.json(messages)
})

app.post('/state', (req, res) => {
  const state = serialize.unserialize(req.cookies.state)
  res.json(state)
})

app.post('/xml', (req, res) => {
  const doc = libxml.parseXml(req.body, { noent: true })
  res.send(doc.root().text())
})

app.post('/xml2', (req, res) => {
  const doc = libxml.parseXml(req.body, { noent: false, nonet: true })
  res.send(doc.root().text())
})

function lookup (client, user, cb) {
  client.search('ou=users,dc=corp', { filter: `(&(objectClass=person)(uid=${user}))`, scope: 'sub' }, cb)
}

const digest = (s) => crypto.createHash('md5').update(s).digest('hex')
const digest2 = (s) => crypto.createHash('sha256').update(s).digest('hex')

function encrypt (data, key) {
  const c = crypto.createCipheriv('des-ede3-cbc', key, Buffer.alloc(8))
  return c.update(data, 'utf8', 'hex') + c.final('hex')
}

function encryptGcm (data, key) {
  const iv = crypto.randomBytes(12)
  const c = crypto.createCipheriv('aes-256-gcm', key, iv)
  return Buffer.concat([iv, c.update(data), c.final(), c.getAuthTag()])
}

function newSessionId () {
  return Math.random().toString(36).substring(2)
}

function newToken () {
  return crypto.randomBytes(24).toString('base64url')
}

const agent = new https.Agent({ rejectUnauthorized: false })
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'

app.get('/proxy', async (req, res) => {
  const r = await axios.get(req.query.url)
  res.send(r.data)
})

app.get('/status-of', async (req, res) => {
  const r = await axios({ method: 'get', url: `http://${req.query.host}/status` })
  res.send(r.data)
})

app.get('/rates', async (req, res) => {
  const r = await axios.get('https://rates.example.org/v1', { params: { c: req.query.c } })
  res.send(r.data)
})

app.get('/out', (req, res) => res.redirect(req.query.to))

app.put('/users/:id', async (req, res) => {
  await User.findByIdAndUpdate(req.params.id, req.body)
  res.end()
})

app.post('/orders', async (req, res) => {
  const order = await Order.create(req.body)
  res.json(order)
})

const upload = multer({ dest: 'public/uploads' })
app.post('/avatar', upload.single('avatar'), async (req, res) => {
  await fs.rename(req.file.path, 'public/uploads/' + req.file.originalname)
  res.end()
})

app.get('/me', (req, res) => {
  const claims = jwt.verify(req.headers.authorization, 'hs256-signing-key-2024')
  res.json(claims)
})

app.get('/me2', (req, res) => {
  const claims = jwt.decode(req.headers.authorization)
  res.json({ admin: claims.admin })
})

app.post('/merge', (req, res) => {
  const config = _.merge({}, defaults, req.body)
  res.json(config)
})
