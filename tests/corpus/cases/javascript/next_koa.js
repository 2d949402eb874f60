import Koa from 'koa';
import Router from '@koa/router';
import fs from 'fs/promises';
import path from 'path';
import { exec } from 'node:child_process';
import { promisify } from 'node:util';
import { Pool } from 'pg';
import knexFactory from 'knex';
import sqlite3 from 'sqlite3';
import crypto from 'node:crypto';
import DOMPurify from 'dompurify';
import { useRouter } from 'next/router';
import { cookies } from 'next/headers';
import xpath from 'xpath';

const sh = promisify(exec);
const pool = new Pool();
const knex = knexFactory({ client: 'pg' });
const db = new sqlite3.Database('x.db');
const router = new Router();

router.get('/a', async (ctx) => {
  const { id, name } = ctx.query;
  const r = await pool.query('SELECT * FROM a WHERE name = \'' + name + '\'');
  const s = await pool.query({ text: 'SELECT * FROM a WHERE id = $1', values: [id] });
  const t = await pool.query({ text: `SELECT * FROM a WHERE id = ${id}` });
  const u = await knex.raw('select * from a where id = ?', [id]);
  const v = await knex('a').whereRaw(`name = '${name}'`);
  const w = await knex('a').where({ name }).orderBy('id');
  db.all(`SELECT * FROM a WHERE n LIKE "${name}%"`, (e, rows) => {});
  db.all('SELECT * FROM a WHERE n LIKE ?', [name + '%'], (e, rows) => {});
  ctx.body = [r, s, t, u, v, w];
});

router.post('/b', async (ctx) => {
  const { file, cmd } = ctx.request.body;
  const out = await sh(`tar czf - ${file}`);
  const ok = await sh('tar czf - data');
  ctx.body = out.stdout + ok.stdout;
});

router.get('/c', async (ctx) => {
  ctx.type = 'html';
  ctx.body = `<p>${ctx.query.x}</p>`;
});

router.get('/c2', async (ctx) => {
  ctx.body = { x: ctx.query.x };
});

router.get('/d', async (ctx) => {
  ctx.redirect(ctx.query.back);
});

router.get('/d2', async (ctx) => {
  ctx.redirect('/login?back=' + encodeURIComponent(ctx.query.back));
});

router.get('/e', async (ctx) => {
  const base = path.resolve('files');
  const target = path.join(base, ctx.params.name);
  const rel = path.relative(base, target);
  if (rel.startsWith('..') || path.isAbsolute(rel)) ctx.throw(400);
  ctx.body = await fs.readFile(target);
});

router.get('/e2', async (ctx) => {
  const base = path.resolve('files');
  ctx.body = await fs.readFile(path.join(base, ctx.params.name));
});

router.get('/f', async (ctx) => {
  const mod = await import(ctx.query.m);
  const m2 = require('./plugins/' + ctx.query.m);
  ctx.body = mod.default + m2;
});

router.get('/g', (ctx) => {
  const doc = globalThis.doc;
  ctx.body = xpath.select("//u[@n='" + ctx.query.n + "']", doc);
  ctx.body = xpath.select('//u', doc);
});

export default async function handler(req, res) {
  const { slug } = req.query;
  if (req.method === 'POST') {
    const r = await fetch(`${req.body.webhook}/notify`, { method: 'POST' });
    return res.status(200).json(await r.json());
  }
  const rows = await pool.query(`SELECT * FROM posts WHERE slug = '${slug}'`);
  res.setHeader('Set-Cookie', `last=${slug}; Path=/`);
  res.status(200).json(rows);
}

export async function GET(request) {
  const { searchParams } = new URL(request.url);
  const to = searchParams.get('to');
  return Response.redirect(to);
}

export function Comment({ html, text }) {
  const router = useRouter();
  return (
    <div>
      <div dangerouslySetInnerHTML={{ __html: router.query.html }} />
      <div>{text}</div>
    </div>
  );
}

export function browser() {
  const q = new URLSearchParams(location.search).get('q');
  document.getElementById('out').innerHTML = q;
  document.getElementById('out').textContent = q;
  document.getElementById('out').innerHTML = DOMPurify.sanitize(q);
  document.write('<b>' + location.hash.slice(1) + '</b>');
  $('#x').html(q);
  $('#x').text(q);
  const el = document.createElement('div');
  el.insertAdjacentHTML('beforeend', `<i>${q}</i>`);
  el.outerHTML = '<b>fixed</b>';
  window.location = q;
  window.location.href = '/search?q=' + encodeURIComponent(q);
  window.addEventListener('message', (e) => {
    eval(e.data);
  });
  window.addEventListener('message', (e) => {
    if (e.origin !== 'https://a.example') return;
    document.title = e.data;
  });
  localStorage.setItem('theme', 'dark');
}

export const sign = (data) => crypto.createSign('RSA-MD5').update(data);
export const otp = () => Math.floor(100000 + Math.random() * 900000);
export const otpSafe = () => crypto.randomInt(100000, 1000000);
