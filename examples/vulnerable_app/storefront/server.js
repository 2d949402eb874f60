'use strict';

const crypto = require('crypto');
const fs = require('fs');
const https = require('https');
const path = require('path');
const { exec, execFile, execSync } = require('child_process');
const axios = require('axios');
const express = require('express');
const mysql = require('mysql2');
const multer = require('multer');
const serialize = require('node-serialize');
const Product = require('./product');

const app = express();
const pool = mysql.createPool({ host: 'db', user: 'shop', database: 'shop' });
const upload = multer({ dest: '/srv/shop/uploads' });
const imageUpload = multer({
  dest: '/srv/shop/images',
  limits: { fileSize: 1 << 20 },
  fileFilter: (req, file, done) => done(null, ['image/png', 'image/jpeg'].includes(file.mimetype)),
});

app.use(express.json());

app.get('/products', (req, res) => {
  const name = req.query.name;
  pool.query("SELECT * FROM products WHERE name = '" + name + "'", (err, rows) => res.json(rows));
});

app.get('/products/:id', (req, res) => {
  pool.query('SELECT * FROM products WHERE id = ?', [req.params.id], (err, rows) => res.json(rows));
});

app.get('/reviews', (req, res) => {
  const sql = `SELECT * FROM reviews WHERE product = ${req.query.product} ORDER BY created`;
  pool.query(sql, (err, rows) => res.json(rows));
});

app.post('/thumbnails', upload.single('picture'), (req, res) => {
  exec('convert ' + req.body.name + ' -thumbnail 64x64 out.png', () => res.sendStatus(204));
});

app.post('/thumbnails/strict', imageUpload.single('picture'), (req, res) => {
  execFile('convert', [req.file.path, '-thumbnail', '64x64', 'out.png'], () => res.sendStatus(204));
});

app.get('/version', (req, res) => {
  const revision = execSync('git rev-parse --short HEAD').toString();
  res.json({ revision });
});

app.post('/price', (req, res) => {
  const total = eval(req.body.formula);
  res.json({ total });
});

app.post('/price/strict', (req, res) => {
  const total = JSON.parse(req.body.formula);
  res.json({ total });
});

app.get('/search', (req, res) => {
  res.send('<h1>Results for ' + req.query.q + '</h1>');
});

app.get('/search/plain', (req, res) => {
  res.type('text/plain');
  res.json({ query: req.query.q });
});

app.get('/invoice', (req, res) => {
  const stream = fs.createReadStream('/srv/shop/invoices/' + req.query.file);
  stream.pipe(res);
});

app.get('/logo', (req, res) => {
  const stream = fs.createReadStream(path.join(__dirname, 'assets', 'logo.png'));
  stream.pipe(res);
});

app.get('/leave', (req, res) => {
  res.redirect(req.query.to);
});

app.get('/home', (req, res) => {
  res.redirect('/products');
});

app.get('/fetch', async (req, res) => {
  const answer = await axios.get(req.query.url);
  res.json(answer.data);
});

app.get('/rates', async (req, res) => {
  const answer = await axios.get('https://rates.partner.test/latest');
  res.json(answer.data);
});

app.post('/cart/restore', (req, res) => {
  const cart = serialize.unserialize(req.body.cart);
  res.json(cart);
});

app.post('/cart/load', (req, res) => {
  const cart = JSON.parse(req.body.cart);
  res.json(cart);
});

app.post('/products', async (req, res) => {
  const product = await Product.create(req.body);
  res.json(product);
});

app.post('/products/strict', async (req, res) => {
  const { name, price } = req.body;
  const product = await Product.create({ name, price });
  res.json(product);
});

const partnerAgent = new https.Agent({ rejectUnauthorized: false });
const mirrorAgent = new https.Agent({ rejectUnauthorized: true, keepAlive: true });

function credentialDigest(body) {
  return crypto.createHash('md5').update(body).digest('hex');
}

function digest(body) {
  return crypto.createHash('sha256').update(body).digest('hex');
}

function voucherToken() {
  return Math.random().toString(36).slice(2);
}

function sessionToken() {
  return crypto.randomBytes(24).toString('hex');
}

function sealCookie(key, text) {
  const cipher = crypto.createCipheriv('des-ecb', key, null);
  return cipher.update(text, 'utf8', 'hex') + cipher.final('hex');
}

function sealVoucher(key, text) {
  const iv = crypto.randomBytes(12);
  const cipher = crypto.createCipheriv('aes-256-gcm', key, iv);
  return Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
}

module.exports = { app, credentialDigest, digest, voucherToken, sessionToken, sealCookie, sealVoucher, partnerAgent, mirrorAgent };
