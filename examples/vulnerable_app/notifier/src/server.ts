import { createHash, createHmac, randomUUID } from 'crypto';
import { exec, spawn } from 'child_process';
import { promises as fs } from 'fs';
import * as path from 'path';
import express, { Request, Response } from 'express';
import Handlebars from 'handlebars';
import jwt from 'jsonwebtoken';
import { Pool } from 'pg';
import { load } from 'js-yaml';
import fetch from 'node-fetch';

const app = express();
const pool = new Pool();
const TEMPLATES = path.resolve('templates');
const channels = new Map<string, string>([
  ['mail', 'https://mail.parcelry.test/send'],
  ['sms', 'https://sms.parcelry.test/send'],
]);

interface Notice {
  id: string;
  subject: string;
}

app.get('/notices', async (req: Request, res: Response) => {
  const owner = req.query.owner as string;
  const { rows } = await pool.query<Notice>(`SELECT id, subject FROM notices WHERE owner = '${owner}'`);
  res.json(rows);
});

app.get('/notices/:id', async (req: Request, res: Response) => {
  const { rows } = await pool.query<Notice>('SELECT id, subject FROM notices WHERE id = $1', [req.params.id]);
  res.json(rows[0]);
});

app.post('/render', (req: Request, res: Response) => {
  const render = Handlebars.compile(req.body.template);
  res.type('text').end(render({ name: 'customer' }));
});

app.post('/render/welcome', (req: Request, res: Response) => {
  const render = Handlebars.compile('Welcome {{name}}');
  res.type('text').end(render({ name: req.body.name }));
});

app.post('/sound', (req: Request, res: Response) => {
  exec(`play sounds/${req.body.sound}`, () => res.sendStatus(204));
});

app.post('/sound/default', (_req: Request, res: Response) => {
  spawn('play', ['sounds/default.wav']);
  res.sendStatus(204);
});

app.get('/attachments', async (req: Request, res: Response) => {
  const name = String(req.query.name);
  const data = await fs.readFile(path.join('/srv/notifier/attachments', name));
  res.send(data);
});

app.get('/templates/footer', async (_req: Request, res: Response) => {
  const data = await fs.readFile(path.join(TEMPLATES, 'footer.hbs'), 'utf8');
  res.json({ footer: data });
});

app.post('/webhook/test', async (req: Request, res: Response) => {
  const answer = await fetch(req.body.url, { method: 'POST' });
  res.json({ status: answer.status });
});

app.post('/channel/:name/test', async (req: Request, res: Response) => {
  const target = channels.get(req.params.name) ?? 'https://mail.parcelry.test/send';
  const answer = await fetch(target, { method: 'POST' });
  res.json({ status: answer.status });
});

app.get('/preview', (req: Request, res: Response) => {
  const subject = req.query.subject;
  res.send(`<title>${subject}</title>`);
});

app.get('/unsubscribe', (req: Request, res: Response) => {
  const back = req.query.back as string;
  res.redirect(302, back);
});

app.post('/filters', (req: Request, res: Response) => {
  const matches = new Function('notice', 'return ' + req.body.filter);
  res.json({ ok: Boolean(matches({})) });
});

app.post('/import', (req: Request, res: Response) => {
  const document = load(req.body.yaml);
  res.json(document);
});

export function traceId(body: string): string {
  return createHash('sha1').update(body).digest('hex');
}

export function signature(key: Buffer, body: string): string {
  return createHmac('sha256', key).update(body).digest('hex');
}

export function deliveryToken(): string {
  return `d-${Math.random().toString(16)}`;
}

export function deliveryId(): string {
  return randomUUID();
}

export function signSession(user: string): string {
  return jwt.sign({ user }, 'p4rcelry-signing-key-7731', { expiresIn: '1h' });
}

export function signRefresh(user: string): string {
  return jwt.sign({ user }, process.env.REFRESH_KEY as string, { expiresIn: '30d' });
}

if (process.env.INSECURE_PARTNER === '1') {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
}

app.listen(8084);
