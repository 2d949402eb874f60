const express = require('express');
const cp = require('child_process');
const crypto = require('crypto');
const ejs = require('ejs');
const fs = require('fs');
const http = require('http');
const libxml = require('libxmljs');
const { MongoClient } = require('mongodb');
const path = require('path');
const pug = require('pug');
const request = require('request');
const knex = require('knex')({ client: 'pg' });
const sqlite3 = require('sqlite3');
const tls = require('tls');
const vm = require('vm');
const yaml = require('js-yaml');
const fileUpload = require('express-fileupload');
const User = require('./models/user');

const router = express.Router();
const db = new sqlite3.Database(':memory:');

router.get('/001', function (req, res) {
  const sql = 'SELECT * FROM city WHERE name = "' + req.query.name + '"';
  db.all(sql, (err, rows) => res.json(rows));
});

router.get('/002', function (req, res) {
  db.all('SELECT * FROM city WHERE name = ?', req.query.name, (err, rows) => res.json(rows));
});

router.get('/003', async (req, res) => {
  const rows = await knex.raw(`select * from city where id = ${req.params.id}`);
  res.json(rows);
});

router.get('/004', async (req, res) => {
  const rows = await knex.raw('select * from city where id = ?', [req.params.id]);
  res.json(rows);
});

router.get('/005', async (req, res) => {
  const rows = await knex('city').where({ id: req.params.id });
  res.json(rows);
});

router.get('/006', function (req, res) {
  let order = req.query.order;
  order = 'name';
  db.all('SELECT * FROM city ORDER BY ' + order, (err, rows) => res.json(rows));
});

router.get('/007', function (req, res) {
  let sql = 'SELECT * FROM city';
  sql += ' WHERE country = \'' + req.query.country + '\'';
  db.run(sql);
  res.end();
});

router.get('/008', function (req, res) {
  const id = parseInt(req.query.id, 10);
  db.get('SELECT * FROM city WHERE id = ' + id, (err, row) => res.json(row));
});

router.post('/009', async (req, res) => {
  const client = new MongoClient('mongodb://db');
  const users = client.db('a').collection('users');
  res.json(await users.find({ $where: 'this.name == "' + req.body.name + '"' }).toArray());
});

router.get('/010', function (req, res) {
  cp.exec(`grep ${req.query.word} /usr/share/dict/words`, (e, out) => res.send(out.length + ''));
});

router.get('/011', function (req, res) {
  cp.execFile('grep', ['--', req.query.word, '/usr/share/dict/words'], (e, out) => res.json(out.length));
});

router.get('/012', function (req, res) {
  const child = cp.spawn('sh', ['-c', 'ls ' + req.query.dir]);
  child.on('close', () => res.end());
});

router.get('/013', function (req, res) {
  const cmd = 'du -sh ' + req.query.dir;
  res.json(cp.execSync(cmd).length);
});

router.get('/014', function (req, res) {
  cp.spawn('convert', [req.query.name], { shell: true });
  res.end();
});

router.get('/015', function (req, res) {
  // cp.exec('rm ' + req.query.file)
  const help = "cp.exec('rm ' + req.query.file)";
  res.json(help);
});

router.post('/016', function (req, res) {
  const f = new Function('a', req.body.code);
  res.json(f(1));
});

router.post('/017', function (req, res) {
  vm.runInNewContext(req.body.script, {});
  res.end();
});

router.post('/018', function (req, res) {
  setTimeout(req.body.action, 10);
  res.end();
});

router.post('/019', function (req, res) {
  setTimeout(() => res.end(), 10);
});

router.post('/020', function (req, res) {
  res.json(eval('2 * 21'));
});

router.get('/021', function (req, res) {
  res.send(ejs.render('<p>' + req.query.m + '</p>'));
});

router.get('/022', function (req, res) {
  res.send(ejs.render('<p><%= m %></p>', { m: req.query.m }));
});

router.get('/023', function (req, res) {
  const fn = pug.compile(req.query.t);
  res.json(fn());
});

router.get('/024', function (req, res) {
  res.write('<div>' + req.query.text + '</div>');
  res.end();
});

router.get('/025', function (req, res) {
  const text = escape(req.query.text);
  res.send('<div>' + encodeURIComponent(text) + '</div>');
});

router.get('/026', function (req, res) {
  const html = `<li>${req.params.item}</li>`;
  res.status(200).send(html);
});

router.get('/027', function (req, res) {
  res.send('<li>nothing</li>');
});

router.get('/028', function (req, res) {
  fs.readFile('/data/' + req.query.f, (err, d) => res.json(d));
});

router.get('/029', function (req, res) {
  fs.readFile('/data/' + path.basename(req.query.f), (err, d) => res.json(d));
});

router.get('/030', function (req, res) {
  res.sendFile(req.query.f);
});

router.get('/031', function (req, res) {
  res.sendFile('index.html', { root: __dirname });
});

router.delete('/032', function (req, res) {
  const p = path.join('/data', req.body.name);
  fs.unlinkSync(p);
  res.end();
});

router.get('/033', function (req, res) {
  const full = path.resolve('/data', req.query.f);
  if (!full.startsWith('/data/')) return res.sendStatus(403);
  fs.createReadStream(full).pipe(res);
});

router.get('/034', function (req, res) {
  res.writeHead(302, { Location: req.query.u });
  res.end();
});

router.get('/035', function (req, res) {
  const allowed = { a: '/a', b: '/b' };
  res.redirect(allowed[req.query.u] || '/');
});

router.get('/036', function (req, res) {
  request(req.query.u, (e, r, body) => res.json(body));
});

router.get('/037', function (req, res) {
  http.get('http://' + req.query.host + ':80/', (r) => res.json(r.statusCode));
});

router.get('/038', function (req, res) {
  http.get('http://status.internal.test/', (r) => res.json(r.statusCode));
});

router.get('/039', async (req, res) => {
  const r = await fetch(req.body.webhook);
  res.json(r.status);
});

router.post('/040', function (req, res) {
  const doc = libxml.parseXml(req.body.xml, { noent: true });
  res.json(doc.root().name());
});

router.post('/041', function (req, res) {
  const doc = libxml.parseXml(req.body.xml, { noent: false, nonet: true });
  res.json(doc.root().name());
});

router.post('/042', function (req, res) {
  const o = yaml.load(req.body.y, { schema: yaml.DEFAULT_FULL_SCHEMA });
  res.json(o);
});

router.post('/043', function (req, res) {
  const o = yaml.safeLoad(req.body.y);
  res.json(o);
});

router.post('/044', async (req, res) => {
  await User.findByIdAndUpdate(req.params.id, req.body);
  res.end();
});

router.post('/045', async (req, res) => {
  await User.findByIdAndUpdate(req.params.id, { nick: req.body.nick });
  res.end();
});

router.post('/046', function (req, res) {
  const user = new User();
  Object.assign(user, req.body);
  user.save();
  res.end();
});

router.post('/047', fileUpload(), function (req, res) {
  req.files.doc.mv('/srv/docs/' + req.files.doc.name, () => res.end());
});

exports.case048 = (s) => crypto.createHash('sha1').update(s).digest('hex');
exports.case049 = (s) => crypto.createHash('sha512').update(s).digest('hex');
exports.case050 = (s, salt) => crypto.scryptSync(s, salt, 64);
exports.case051 = (k, iv) => crypto.createCipheriv('aes-128-ecb', k, iv);
exports.case052 = (k) => crypto.createCipher('aes192', k);
exports.case053 = (k, iv) => crypto.createCipheriv('rc4', k, iv);
exports.case054 = (k, iv) => crypto.createCipheriv('chacha20-poly1305', k, iv, { authTagLength: 16 });
exports.case055 = () => { const resetToken = Math.floor(Math.random() * 1e9); return resetToken; };
exports.case056 = () => { const jitter = Math.random() * 100; return jitter; };
exports.case057 = () => crypto.randomInt(1e9);
exports.case058 = () => tls.connect({ host: 'a.test', rejectUnauthorized: false });
exports.case059 = () => tls.connect({ host: 'a.test', servername: 'a.test' });
process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = 0;
const dbPassword = 'Zebra-77-crossing!';
const mailPassword = process.env.MAIL_PASSWORD;
exports.passwords = { dbPassword, mailPassword };
exports.router = router;
