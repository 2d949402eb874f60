import { Controller, Get, Query, Param, Body, Post, Res, Req } from '@nestjs/common';
import { Request, Response } from 'express';
import * as cp from 'child_process';
import fs from 'fs';
import path from 'path';
import { DataSource, Repository } from 'typeorm';
interface SearchDto { q: string; page: number }
@Controller('items')
export class ItemsController {
  private readonly root = '/data';
  constructor(private readonly ds: DataSource, private repo: Repository<Item>) {}
  @Get('a') async a(@Query('n') n: string) { return this.ds.query(`SELECT * FROM t WHERE n = '${n}'`); }
  @Get('b') async b(@Query('n') n: string) { return this.ds.query('SELECT * FROM t WHERE n = $1', [n]); }
  @Get('c/:id') async c(@Param('id', ParseIntPipe) id: number) { return this.ds.query(`SELECT * FROM t WHERE id = ${id}`); }
  @Get('d') d(@Query('f') f: string, @Res() res: Response) { res.sendFile(path.join(this.root, f)); }
  @Get('e') e(@Query('f') f: string, @Res() res: Response) { res.sendFile(path.join(this.root, path.basename(f))); }
  @Post('f') async f(@Body() dto: SearchDto) {
    return this.repo.createQueryBuilder('i').where(`i.q = '${dto.q}'`).getMany();
  }
  @Post('g') async g(@Body() dto: SearchDto) {
    return this.repo.createQueryBuilder('i').where('i.q = :q', { q: dto.q }).getMany();
  }
  @Get('h') h(@Req() req: Request) { return cp.execSync('ls ' + (req.query.d as string)).toString(); }
  @Get('i') i(@Req() req: Request) { return cp.execFileSync('ls', [String(req.query.d)]).toString(); }
  @Get('j') j(@Query('d') d: string) {
    const safe: Record<string, string> = { a: '/a', b: '/b' };
    return cp.execSync('ls ' + (safe[d] ?? '/')).toString();
  }
  @Get('k') k(@Query('n') n: string, @Res() res: Response) { res.send(`<h1>${n}</h1>`); }
  @Get('l') l(@Query('n') n: string, @Res() res: Response) { res.json({ n }); }
  private build(n: string): string { return `SELECT * FROM t WHERE n = '${n}'`; }
  @Get('m') async m(@Query('n') n: string) { const q = this.build(n); return this.ds.query(q); }
  @Get('n') async n(@Query('s') s: 'asc' | 'desc') { const dir = s === 'desc' ? 'DESC' : 'ASC'; return this.ds.query(`SELECT * FROM t ORDER BY n ${dir}`); }
  @Get('o') async o(@Query('u') u: string) { return (await fetch(u)).text(); }
  @Get('p') async p(@Query('u') u: string) { return (await fetch(`https://api.example/${encodeURIComponent(u)}`)).text(); }
}
export const handler = async (event: APIGatewayProxyEvent) => {
  const { cmd } = JSON.parse(event.body!);
  cp.exec(`run ${cmd}`);
  const n = Number(event.queryStringParameters?.n ?? 0);
  cp.exec(`run ${n}`);
};
export function mount(el: HTMLElement, msg: string) { el.innerHTML = msg; }
export function mount2(el: HTMLElement) { el.innerHTML = location.hash.slice(1); }
export function mount3(el: HTMLElement) { el.textContent = location.hash.slice(1); }
const items: string[] = [];
app.get('/x', (req, res) => { for (const x of [].concat(req.query.x)) items.push(`<li>${x}</li>`); res.send('<ul>' + items.join('') + '</ul>'); });
app.get('/y', async (req, res) => { const r = await Promise.all([db.query(`SELECT * FROM t WHERE a = '${req.query.a}'`)]); res.json(r); });
const wrap = (fn: any) => (req: Request, res: Response, next: any) => fn(req, res).catch(next);
app.get('/z', wrap(async (req: Request, res: Response) => { res.send('<b>' + req.query.z + '</b>'); }));
function validate(s: unknown): string { if (typeof s !== 'string' || !/^[a-z0-9]+$/.test(s)) throw new Error('bad'); return s; }
app.get('/w', (req, res) => { cp.exec('ls ' + validate(req.query.w)); res.end(); });
