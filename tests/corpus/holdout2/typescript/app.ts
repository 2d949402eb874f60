import express, { Request, Response, NextFunction } from 'express';
import { Pool } from 'pg';
import { exec } from 'child_process';
import * as path from 'path';
import * as fs from 'fs';
import * as crypto from 'crypto';
import axios from 'axios';
import * as ejs from 'ejs';
import { z } from 'zod';

type Handler = (req: Request, res: Response) => Promise<void>;
const pool = new Pool({ connectionString: 'postgres://svc:Xk29dMq1@db:5432/app' });
const pool2 = new Pool({ connectionString: process.env.DATABASE_URL });

abstract class BaseRepo {
  constructor(protected readonly table: string) {}

  protected run(sql: string, args: unknown[] = []): Promise<any> {
    return pool.query(sql, args);
  }
}

class BookRepo extends BaseRepo {
  constructor() { super('books'); }

  byTitle(title: string): Promise<any> {
    return pool.query(`SELECT * FROM ${this.table} WHERE title = '${title}'`);
  }

  byId(id: number): Promise<any> {
    return pool.query(`SELECT * FROM books WHERE id = ${id}`);
  }
}

const repo = new BookRepo();
const IdSchema = z.object({ id: z.coerce.number().int() });

export const byTitle: Handler = async (req, res) => {
  res.json(await repo.byTitle(req.query.title as string));
};

export const byId: Handler = async (req, res) => {
  const { id } = IdSchema.parse(req.query);
  res.json(await pool.query(`SELECT * FROM books WHERE id = ${id}`));
};

export const ping: Handler = async (req, res) => {
  const host: string = req.body.host;
  exec(`ping -c 1 ${host}`, (e, out) => res.send(out));
};

export const pingOk: Handler = async (req, res) => {
  const hosts: Record<string, string> = { a: '10.0.0.1', b: '10.0.0.2' };
  const host = hosts[req.body.host];
  if (!host) { res.sendStatus(404); return; }
  exec(`ping -c 1 ${host}`, (e, out) => res.json({ out }));
};

export async function download(req: Request, res: Response, next: NextFunction): Promise<void> {
  try {
    const file = path.join(__dirname, 'files', req.params.name);
    res.sendFile(file);
  } catch (e) {
    next(e);
  }
}

export async function downloadOk(req: Request, res: Response): Promise<void> {
  const root = path.resolve('files');
  const file = path.resolve(root, req.params.name);
  if (!file.startsWith(`${root}${path.sep}`)) { res.sendStatus(400); return; }
  res.sendFile(file);
}

export function greet(req: Request, res: Response): void {
  const name = (req.query.name as string) ?? 'you';
  res.status(200).send(`<h1>${name}</h1>`);
}

export function greetOk(req: Request, res: Response): void {
  const name = encodeURIComponent((req.query.name as string) ?? 'you');
  res.status(200).send(`<h1>${name}</h1>`);
}

export function leave(req: Request, res: Response): void {
  const url = req.query.returnUrl as string;
  res.redirect(302, url);
}

export function leaveOk(req: Request, res: Response): void {
  const url = req.query.returnUrl as string;
  const allowed = ['/home', '/profile'];
  res.redirect(allowed.includes(url) ? url : '/home');
}

export async function hook(req: Request, res: Response): Promise<void> {
  const r = await axios.post(req.body.webhookUrl, { ok: true });
  res.json(r.data);
}

export async function hookOk(req: Request, res: Response): Promise<void> {
  const r = await axios.get('https://api.example/v1', { params: { q: req.query.q } });
  res.json(r.data);
}

export function tpl(req: Request, res: Response): void {
  res.send(ejs.render(req.body.tpl, {}));
}

export function digest(password: string): string {
  return crypto.createHash('md5').update(password).digest('hex');
}

export function digestOk(data: Buffer): string {
  return crypto.createHash('sha3-256').update(data).digest('hex');
}

export function resetToken(): string {
  let token = '';
  for (let i = 0; i < 20; i++) token += Math.floor(Math.random() * 10);
  return token;
}

export function resetTokenOk(): string {
  return crypto.randomUUID();
}

export function setPrefs(req: Request, res: Response): void {
  const prefs: any = {};
  const { key, value } = req.body;
  prefs[key] = value;
  Object.assign(req.session as any, req.body);
  res.cookie('prefs', JSON.stringify(prefs), { secure: false });
  res.cookie('prefs', JSON.stringify(prefs), { secure: true, httpOnly: true });
}

export class Cache {
  private readonly dir = '/var/cache/app';

  async put(key: string, value: string): Promise<void> {
    const name = crypto.createHash('sha256').update(key).digest('hex');
    await fs.promises.writeFile(path.join(this.dir, name), value);
  }

  async drop(req: Request): Promise<void> {
    await fs.promises.unlink(path.join(this.dir, req.params.key));
  }
}
