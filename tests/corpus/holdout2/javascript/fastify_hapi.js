import Fastify from 'fastify';
import Hapi from '@hapi/hapi';
import { spawn, exec, execFileSync } from 'node:child_process';
import { readFile, writeFile, mkdtemp } from 'node:fs/promises';
import { createReadStream, existsSync, chmodSync, writeFileSync } from 'node:fs';
import { join, normalize, resolve, isAbsolute, basename } from 'node:path';
import { createHash, createHmac, randomBytes, createCipheriv, timingSafeEqual } from 'node:crypto';
import { PrismaClient } from '@prisma/client';
import mariadb from 'mariadb';
import { Sequelize, DataTypes } from 'sequelize';
import mongoose from 'mongoose';
import nunjucks from 'nunjucks';
import _ from 'lodash';
import undici from 'undici';
import jwt from 'jsonwebtoken';
import tls from 'node:tls';
import { unserialize } from 'node-serialize';

const app = Fastify();
const prisma = new PrismaClient();
const pool = mariadb.createPool({ host: 'h', user: 'u', password: 'Aut0mn-Leaf' });
const sequelize = new Sequelize('db', 'user', process.env.PASS, { dialect: 'mysql' });
const User = sequelize.define('User', { name: DataTypes.STRING, role: DataTypes.STRING });
const SORT = new Map([['new', 'created_at'], ['top', 'score']]);

app.get('/a', async (request, reply) => {
  const { name } = request.query;
  return pool.query('SELECT * FROM t WHERE n = "' + name + '"');
});

app.get('/a2', async (request, reply) => {
  return pool.query('SELECT * FROM t WHERE n = ?', [request.query.name]);
});

app.get('/b', async (request) => {
  const rows = await prisma.$queryRawUnsafe(`SELECT * FROM "T" WHERE id = ${request.params.id}`);
  return rows;
});

app.get('/b2', async (request) => {
  return prisma.$queryRaw`SELECT * FROM "T" WHERE id = ${request.params.id}`;
});

app.get('/c', async (request) => {
  const field = SORT.get(request.query.sort) ?? 'id';
  return sequelize.query(`SELECT * FROM t ORDER BY ${field}`);
});

app.get('/c2', async (request) => {
  const clause = [];
  clause.push(`name LIKE '%${request.query.q}%'`);
  return sequelize.query(`SELECT * FROM t WHERE ${clause.join(' OR ')}`);
});

app.get('/c3', async (request) => {
  return User.findAll({ where: sequelize.literal(`name = '${request.query.n}'`) });
});

app.get('/c4', async (request) => {
  return User.findAll({ where: { name: request.query.n } });
});

app.post('/d', async (request, reply) => {
  const child = spawn('/bin/sh', ['-c', 'grep ' + request.body.word + ' words.txt']);
  reply.send(child.stdout);
});

app.post('/d2', async (request, reply) => {
  const child = spawn('grep', ['--', request.body.word, 'words.txt']);
  reply.send(child.stdout);
});

app.post('/d3', async (request) => {
  let cmd = 'convert';
  cmd += ' -resize ' + request.body.size;
  cmd += ' a.png b.png';
  exec(cmd);
});

app.post('/d4', async (request) => {
  const size = Number.parseInt(request.body.size, 10);
  exec(`convert -resize ${size} a.png b.png`);
});

app.get('/e', async (request, reply) => {
  reply.type('text/html').send(`<p>${request.query.msg}</p>`);
});

app.get('/e2', async (request, reply) => {
  reply.type('text/html').send(`<p>${_.escape(request.query.msg)}</p>`);
});

app.get('/f', async (request, reply) => {
  return reply.redirect(request.query.url);
});

app.get('/f2', async (request, reply) => {
  const u = new URL(request.query.url, 'https://app.example');
  if (u.origin !== 'https://app.example') return reply.code(400).send();
  return reply.redirect(u.toString());
});

app.get('/g', async (request) => {
  return readFile(join('data', request.query.file), 'utf8');
});

app.get('/g2', async (request) => {
  const p = normalize(join('/data', request.query.file));
  if (!p.startsWith('/data/')) throw new Error('outside');
  return readFile(p, 'utf8');
});

app.get('/g3', async (request, reply) => {
  const id = request.params.id;
  if (!/^\d+$/.test(id)) return reply.code(404).send();
  return readFile(`data/${id}.json`, 'utf8');
});

app.get('/h', async (request) => {
  const { body } = await undici.request(request.query.target);
  return body.text();
});

app.get('/h2', async (request) => {
  const hosts = ['a.example', 'b.example'];
  const u = new URL(request.query.target);
  if (!hosts.includes(u.hostname)) throw new Error('host');
  const { body } = await undici.request(u);
  return body.text();
});

app.post('/i', async (request) => {
  return nunjucks.renderString(request.body.template, {});
});

app.post('/i2', async (request) => {
  return nunjucks.renderString('Hi {{ n }}', { n: request.body.n });
});

app.post('/j', async (request) => {
  return User.update(request.body, { where: { id: 1 } });
});

app.post('/j2', async (request) => {
  return User.update({ name: request.body.name }, { where: { id: 1 } });
});

app.post('/k', async (request) => {
  return unserialize(request.body.data);
});

app.post('/k2', async (request) => {
  return JSON.parse(request.body.data);
});

app.post('/l', async (request) => {
  return new Function('return ' + request.body.f)();
});

app.post('/l2', async (request) => {
  const table = { double: (x) => x * 2 };
  if (!Object.hasOwn(table, request.body.f)) return null;
  return table[request.body.f](2);
});

app.post('/m', async (request) => {
  return mongoose.connection.collection('u').findOne({ login: request.body.login });
});

app.post('/m2', async (request) => {
  if (typeof request.body.login !== 'string') throw new Error('type');
  return mongoose.connection.collection('u').findOne({ login: request.body.login });
});

const server = Hapi.server({ port: 3000, routes: { cors: { origin: ['*'] } } });
const server2 = Hapi.server({ port: 3000, routes: { cors: { origin: ['https://a.example'] } } });
server.route({
  method: 'GET', path: '/n',
  handler: (request, h) => h.response('<b>' + request.query.n + '</b>'),
});
server.route({ method: 'GET', path: '/o', handler: (request, h) => h.redirect(request.query.to) });

export function hashPassword(password) {
  return createHash('sha1').update(password).digest('hex');
}
export function etag(body) {
  return createHash('sha256').update(body).digest('hex');
}
export function encrypt(key, text) {
  const c = createCipheriv('des-cbc', key, randomBytes(8));
  return c.update(text);
}
export function encryptOk(key, text) {
  const c = createCipheriv('chacha20-poly1305', key, randomBytes(12), { authTagLength: 16 });
  return c.update(text);
}
export const inviteCode = () => Math.random().toString(36).slice(2, 10);
export const inviteCodeOk = () => randomBytes(8).toString('hex');
export const wobble = () => (Math.random() - 0.5) * 10;

export function connectTls() {
  return tls.connect({ host: 'h', port: 443, rejectUnauthorized: false });
}
export function connectTlsOk() {
  return tls.connect({ host: 'h', port: 443 });
}
export function verify(token) {
  return jwt.verify(token, process.env.KEY, { algorithms: ['none', 'HS256'] });
}
export function verifyOk(token) {
  return jwt.verify(token, process.env.KEY, { algorithms: ['RS256'] });
}
app.get('/p', async (request, reply) => {
  reply.setCookie('session', 'x', { path: '/', secure: false });
});
app.get('/p2', async (request, reply) => {
  reply.setCookie('session', 'x', { path: '/', secure: true, httpOnly: true, sameSite: 'strict' });
});
export function merge(target, source) {
  for (const key in source) {
    if (typeof source[key] === 'object') merge(target[key], source[key]);
    else target[key] = source[key];
  }
}
app.post('/q', async (request) => _.defaultsDeep({}, request.body));
chmodSync('/srv/app.sock', 0o666);
chmodSync('/srv/app.key', 0o400);
