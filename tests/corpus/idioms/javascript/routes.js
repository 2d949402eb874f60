const express = require('express'); const { exec, execFile } = require('child_process'); const fs = require('fs/promises'); const path = require('path');
const mysql = require('mysql2/promise'); const app = express(); const router = express.Router();
const pool = mysql.createPool({});
class UserRepo {
  constructor(db) { this.db = db; this.table = 'users'; }
  async byName(name) { const [rows] = await this.db.query(`SELECT * FROM users WHERE name = '${name}'`); return rows; }
  async byId(id) { return this.db.query('SELECT * FROM ' + this.table + ' WHERE id = ?', [id]); }
}
const repo = new UserRepo(pool);
router.get('/a', async (req, res) => { res.json(await repo.byName(req.query.name)); });
router.get('/b', async ({ query: { cmd } }, res) => { exec(`ping ${cmd}`, (e, out) => res.send('ok')); });
router.get('/c', async (req, res) => {
  const { file = 'a.txt' } = req.query;
  const full = path.join('/data', file);
  res.send(await fs.readFile(full));
});
router.get('/d', async (req, res) => {
  const full = path.resolve('/data', req.query.file);
  if (!full.startsWith('/data/')) return res.status(400).end();
  res.send(await fs.readFile(full, 'utf8'));
});
const SORTS = ['name', 'age'];
router.get('/e', async (req, res) => {
  const sort = SORTS.includes(req.query.sort) ? req.query.sort : 'name';
  const [r] = await pool.query(`SELECT * FROM users ORDER BY ${sort}`);
  res.json(r);
});
router.get('/f', async (req, res) => {
  const ids = req.query.ids.split(',').map(Number);
  const [r] = await pool.query(`SELECT * FROM users WHERE id IN (${ids.join(',')})`);
  res.json(r);
});
router.get('/g', async (req, res) => {
  const conds = [];
  if (req.query.a) conds.push(`a = '${req.query.a}'`);
  const [r] = await pool.query('SELECT * FROM t WHERE ' + conds.join(' AND '));
  res.json(r);
});
router.get('/h', (req, res) => {
  const handlers = { eq: (v) => res.send(`<b>${v}</b>`) };
  handlers.eq(req.query.v);
});
router.post('/i', (req, res) => {
  let body = '';
  req.on('data', (c) => { body += c; });
  req.on('end', () => { const o = eval('(' + body + ')'); res.json(o); });
});
router.get('/j', (req, res) => {
  const u = new URL(req.query.u);
  if (u.hostname !== 'a.example') return res.sendStatus(400);
  fetch(u).then(r => r.text()).then(t => res.json({ t }));
});
router.get('/k', (req, res) => { fetch(req.query.u).then(r => r.text()).then(t => res.json({ t })); });
router.get('/l', (req, res) => {
  const name = req.query.name.replace(/</g, '&lt;').replace(/>/g, '&gt;');
  res.send('<p>' + name + '</p>');
});
function run(args, cb) { return execFile('git', args, cb); }
router.get('/m', (req, res) => run(['log', '--', req.query.f], (e, o) => res.json(o)));
router.get('/n', (req, res) => {
  const next = req.query.next || '/';
  if (next.startsWith('/') && !next.startsWith('//')) res.redirect(next);
  else res.redirect('/');
});
router.get('/o', (req, res) => {
  const opts = Object.assign({}, req.body);
  User.create(opts);
});
router.get('/p', (req, res) => {
  const data = Buffer.from(req.cookies.s, 'base64').toString();
  const o = require('node-serialize').unserialize(data);
  res.json(o);
});
router.get('/q', async (req, res) => {
  const q = req.query.q;
  try { const r = await pool.query('SELECT * FROM t WHERE q = "' + q + '"'); res.json(r); } catch (e) { res.json({}); }
});
router.get('/r', (req, res) => { const id = parseInt(req.params.id, 10); pool.query('SELECT * FROM t WHERE id = ' + id); res.end(); });
router.get('/s', (req, res) => { const m = /^[a-z]+$/.exec(req.query.t); if (!m) return res.end(); exec('ls ' + m[0]); });
router.get('/t', (req, res) => { const t = `${req.query.t}`.trim().toLowerCase(); exec('ls ' + t); });
