'use strict';
const express = require('express');
const { exec, execFile, spawn, execSync } = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const fsp = fs.promises;
const path = require('path');
const https = require('https');
const http = require('http');
const vm = require('vm');
const mysql = require('mysql2/promise');
const { MongoClient } = require('mongodb');
const mongoose = require('mongoose');
const axios = require('axios');
const fetch = require('node-fetch');
const jwt = require('jsonwebtoken');
const ejs = require('ejs');
const pug = require('pug');
const Handlebars = require('handlebars');
const serialize = require('node-serialize');
const yaml = require('js-yaml');
const libxmljs = require('libxmljs');
const cookieSession = require('cookie-session');
const session = require('express-session');
const cors = require('cors');
const multer = require('multer');
const _ = require('lodash');
const escapeHtml = require('escape-html');
const ldap = require('ldapjs');

const app = express();
const pool = mysql.createPool({ host: 'db', user: 'app', password: 'Wint3r#Sun9' });
const pool2 = mysql.createPool({ host: 'db', user: 'app', password: process.env.DB_PASSWORD });
app.use(cors({ origin: '*', credentials: true }));
app.use(cors({ origin: 'https://app.example', credentials: true }));
app.use(session({ secret: 'kq83-ajsd-81', cookie: { secure: true, httpOnly: true } }));
app.use(session({ secret: process.env.SESSION, cookie: { secure: false } }));
app.use(session({ secret: process.env.SESSION, cookie: { secure: true, httpOnly: true, sameSite: 'lax' } }));

const ROOT = path.join(__dirname, 'public');
const COLUMNS = ['id', 'name', 'created'];
const commands = { up: 'uptime', disk: 'df -h' };
const User = mongoose.model('User', new mongoose.Schema({ name: String, admin: Boolean }));

function quoted(v) {
  return "'" + v + "'";
}

class Store {
  constructor(db) {
    this.db = db;
    this.table = 'items';
  }

  async byName(name) {
    const [rows] = await this.db.query(`SELECT * FROM ${this.table} WHERE name = ${quoted(name)}`);
    return rows;
  }

  async byId(id) {
    const [rows] = await this.db.query(`SELECT * FROM ${this.table} WHERE id = ?`, [id]);
    return rows;
  }
}

app.get('/items', async (req, res) => {
  const store = new Store(pool);
  res.json(await store.byName(req.query.name));
});

app.get('/sorted', async (req, res) => {
  const { sort = 'id', dir } = req.query;
  if (!COLUMNS.includes(sort)) return res.status(400).end();
  const order = dir === 'desc' ? 'DESC' : 'ASC';
  const [rows] = await pool.query(`SELECT * FROM items ORDER BY ${sort} ${order}`);
  res.json(rows);
});

app.get('/filter', async (req, res) => {
  const where = [];
  for (const [k, v] of Object.entries(req.query)) {
    where.push(k + ' = "' + v + '"');
  }
  const sql = 'SELECT * FROM items' + (where.length ? ' WHERE ' + where.join(' AND ') : '');
  const [rows] = await pool.execute(sql);
  const [n] = await pool.execute('SELECT count(*) FROM items LIMIT ' + Number(req.query.limit));
  res.json({ rows, n });
});

app.post('/batch', async (req, res) => {
  const ids = req.body.ids.map((i) => parseInt(i, 10));
  const [a] = await pool.query('SELECT * FROM items WHERE id IN (' + ids.join(',') + ')');
  const [b] = await pool.query('SELECT * FROM items WHERE id IN (' + req.body.ids.join(',') + ')');
  let q = 'DELETE FROM items WHERE name = ';
  q += mysql.escape(req.body.name);
  await pool.query(q);
  res.json([a, b]);
});

app.get('/status', (req, res) => {
  const cmd = commands[req.query.c];
  if (!cmd) return res.sendStatus(404);
  exec(cmd, (e, out) => res.type('text').send(out));
});

app.get('/ping', (req, res) => {
  exec('ping -c 1 ' + req.query.host, (e, out) => {
    res.type('text').send(out);
  });
  execFile('ping', ['-c', '1', req.query.host], () => {});
  spawn('ping ' + req.query.host, { shell: true });
  const args = ['-c', `git clone ${req.body.repo}`];
  spawn('sh', args);
  if (/^[a-z0-9.-]+$/i.test(req.query.host)) {
    execSync(`dig ${req.query.host}`);
  }
});

app.post('/eval', (req, res) => {
  const f = new Function('x', 'return ' + req.body.expr);
  const v = vm.runInNewContext(req.body.code, {});
  setTimeout(req.body.cb, 10);
  setTimeout(() => f(1), 10);
  const ops = { add: (a, b) => a + b };
  const op = ops[req.body.op];
  res.json({ v, r: op ? op(1, 2) : JSON.parse(req.body.json) });
});

app.get('/file', (req, res) => {
  res.sendFile(path.join(ROOT, req.query.f));
});

app.get('/file2', (req, res) => {
  const full = path.resolve(ROOT, req.query.f);
  if (!full.startsWith(ROOT + path.sep)) return res.sendStatus(403);
  res.sendFile(full);
});

app.get('/file3', async (req, res) => {
  const name = req.params.name;
  const data = await fsp.readFile(`${ROOT}/${name}`);
  const safe = await fsp.readFile(path.join(ROOT, path.basename(name)));
  fs.createReadStream('./logs/' + req.query.day).pipe(res);
  fs.unlinkSync(ROOT + '/' + crypto.createHash('sha256').update(name).digest('hex'));
});

app.get('/hello', (req, res) => {
  const name = req.query.name || 'you';
  res.send('<h1>Hello ' + name + '</h1>');
  res.send(`<h1>Hello ${escapeHtml(name)}</h1>`);
  res.json({ name });
  res.write(`<p>${[name].map((n) => n.toUpperCase()).join()}</p>`);
  res.render('hello', { name });
});

app.get('/tpl', (req, res) => {
  const html = ejs.render('<p>' + req.query.t + '</p>');
  const ok = ejs.render('<p><%= t %></p>', { t: req.query.t });
  const p = pug.compile(req.body.tpl);
  const h = Handlebars.compile('{{t}}');
  res.send(html + ok);
});

app.get('/go', (req, res) => {
  const to = req.query.to;
  res.redirect(to);
});

app.get('/go2', (req, res) => {
  const to = String(req.query.to);
  if (!to.startsWith('/') || to.startsWith('//')) return res.redirect('/');
  return res.redirect(to);
});

app.get('/go3', (req, res) => {
  res.writeHead(302, { Location: req.query.to });
  res.end();
});

app.get('/go4', (req, res) => {
  const targets = { home: '/', docs: '/docs' };
  res.redirect(targets[req.query.to] || '/');
});

app.get('/proxy', async (req, res) => {
  const r = await axios.get(req.query.url);
  const s = await fetch('http://' + req.query.host + '/health');
  const t = await axios({ method: 'get', url: req.body.target });
  const u = await axios.get('https://api.example/items/' + encodeURIComponent(req.query.id));
  const w = new URL(req.query.url);
  if (w.hostname === 'images.example') {
    await fetch(w.href);
  }
  http.get({ host: req.query.h, path: '/' }, () => {});
  res.json([r.data, u.data]);
});

app.post('/login', async (req, res) => {
  const db = (await MongoClient.connect('mongodb://db')).db('x');
  const a = await db.collection('users').findOne({ name: req.body.name, pw: req.body.pw });
  const b = await db.collection('users').findOne({ name: String(req.body.name) });
  const c = await User.find({ $where: `this.name == '${req.body.name}'` });
  const d = await User.findOne({ name: { $eq: req.body.name } });
  res.json([a, b, c, d]);
});

app.post('/users', async (req, res) => {
  const u = await User.create(req.body);
  const { name, mail } = req.body;
  const v = await User.create({ name, mail });
  Object.assign(u, req.body);
  Object.assign(u, _.pick(req.body, ['name']));
  await User.findByIdAndUpdate(req.params.id, req.body);
  res.json(v);
});

app.post('/merge', (req, res) => {
  const conf = {};
  _.merge(conf, req.body);
  res.json(conf);
});

app.post('/load', (req, res) => {
  const a = serialize.unserialize(req.body.s);
  const b = yaml.load(req.body.y, { schema: yaml.DEFAULT_FULL_SCHEMA });
  const c = yaml.load(req.body.y, { schema: yaml.JSON_SCHEMA });
  const d = libxmljs.parseXml(req.body.x, { noent: true });
  const e = libxmljs.parseXml(req.body.x, { noent: false });
  res.json([a, b, c]);
});

function secrets(password) {
  const h = crypto.createHash('md5').update(password).digest('hex');
  const i = crypto.createHash('sha512').update(password).digest('hex');
  const algo = 'sha1';
  const j = crypto.createHmac(algo, process.env.KEY);
  const k = crypto.scryptSync(password, crypto.randomBytes(16), 64);
  const c = crypto.createCipheriv('des-ede3-cbc', k, crypto.randomBytes(8));
  const d = crypto.createCipheriv('aes-256-gcm', k, crypto.randomBytes(12));
  const e = crypto.createCipher('aes-256-cbc', password);
  const f = crypto.createCipheriv('aes-128-ecb', k, null);
  const token = Math.random().toString(36).slice(2);
  const color = '#' + Math.floor(Math.random() * 16777215).toString(16);
  const sid = crypto.randomBytes(16).toString('hex');
  return [h, i, j, c, d, e, f, token, color, sid];
}

const agent = new https.Agent({ rejectUnauthorized: false });
const agent2 = new https.Agent({ rejectUnauthorized: true });
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

app.get('/me', (req, res) => {
  const t = req.headers.authorization.split(' ')[1];
  const a = jwt.decode(t);
  const b = jwt.verify(t, process.env.KEY, { algorithms: ['HS256'] });
  const c = jwt.verify(t, process.env.KEY, { algorithms: ['none'] });
  const d = jwt.sign({ id: 1 }, 'my-jwt-k3y-2024');
  const e = jwt.sign({ id: 1 }, process.env.KEY);
  res.cookie('sid', t, { secure: true, httpOnly: true });
  res.cookie('sid', t, { httpOnly: false });
  console.log('user ' + req.query.u);
  res.set('X-Back', req.query.back);
});

const upload = multer({
  storage: multer.diskStorage({
    destination: './public/uploads',
    filename: (req, file, cb) => cb(null, file.originalname),
  }),
});

app.get('/people', (req, res) => {
  const c = ldap.createClient({ url: 'ldap://d' });
  c.search('dc=x', { filter: `(uid=${req.query.uid})`, scope: 'sub' }, () => {});
  c.search('dc=x', { filter: new ldap.EqualityFilter({ attribute: 'uid', value: req.query.uid }) }, () => {});
});

fs.chmodSync('/srv/key', 0o777);
fs.chmodSync('/srv/key', 0o600);
fs.writeFileSync('/tmp/out-' + Date.now(), 'x');
app.get('/re', (req, res) => res.json(new RegExp(req.query.re).test('x')));
