import { BadRequestException, Body, Controller, Get, Header, Injectable, Param, ParseIntPipe, Post, Query, Redirect, Req, Res, UploadedFile, UseInterceptors } from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';
import { InjectRepository } from '@nestjs/typeorm';
import { InjectModel } from '@nestjs/mongoose';
import { HttpService } from '@nestjs/axios';
import { NestFactory } from '@nestjs/core';
import { Request, Response } from 'express';
import { Model } from 'mongoose';
import { Repository, EntityManager, getManager } from 'typeorm';
import { createHash, createCipheriv, randomBytes, randomUUID, pbkdf2Sync, createDecipheriv } from 'crypto';
import { execSync, spawnSync } from 'child_process';
import { promises as fs, createWriteStream, readFileSync } from 'fs';
import { join, resolve, extname, basename, sep } from 'path';
import * as jwt from 'jsonwebtoken';
import sanitizeHtml from 'sanitize-html';
import got from 'got';

interface SearchDto { term: string; order: string; page: number }

const UPLOAD_DIR = '/var/uploads';

@Injectable()
export class ItemService {
  constructor(
    @InjectRepository(Item) private readonly repo: Repository<Item>,
    private readonly em: EntityManager,
    @InjectModel('User') private readonly users: Model<any>,
    private readonly http: HttpService,
  ) {}

  find(term: string): Promise<Item[]> {
    return this.repo.createQueryBuilder('i').where(`i.name LIKE '%${term}%'`).getMany();
  }

  findSafe(term: string): Promise<Item[]> {
    return this.repo.createQueryBuilder('i').where('i.name LIKE :t', { t: `%${term}%` }).getMany();
  }

  raw(dto: SearchDto): Promise<unknown> {
    const parts: string[] = ['SELECT * FROM item'];
    if (dto.term) parts.push(`WHERE name = '${dto.term}'`);
    return this.em.query(parts.join(' '));
  }

  page(n: number): Promise<unknown> {
    return this.em.query(`SELECT * FROM item OFFSET ${n}`);
  }

  async login(body: any) {
    const u = await this.users.findOne({ email: body.email, password: body.password });
    const v = await this.users.findOne({ email: `${body.email}` });
    return u || v;
  }
}

@Controller('items')
export class ItemController {
  constructor(private readonly svc: ItemService, private readonly http: HttpService) {}

  @Get()
  list(@Query('q') q: string) { return this.svc.find(q); }

  @Post('search')
  search(@Body() dto: SearchDto) { return this.svc.raw(dto); }

  @Get('page/:n')
  page(@Param('n', ParseIntPipe) n: number) { return this.svc.page(n); }

  @Post('login')
  login(@Body() body: any) { return this.svc.login(body); }

  @Get('html')
  @Header('Content-Type', 'text/html')
  html(@Query('n') n: string, @Res() res: Response) {
    res.send(`<div>${n}</div>`);
    res.send(`<div>${sanitizeHtml(n)}</div>`);
    res.type('html').end('<i>' + decodeURIComponent(n) + '</i>');
  }

  @Get('go')
  go(@Query('u') u: string, @Res() res: Response) {
    const allowed = new Set(['/a', '/b']);
    if (allowed.has(u)) {
      return res.redirect(u);
    }
    return res.redirect(301, u);
  }

  @Get('dynamic')
  @Redirect()
  dynamic(@Query('u') u: string) {
    return { url: u, statusCode: 302 };
  }

  @Get('img')
  async img(@Query('src') src: string) {
    const r = await this.http.axiosRef.get(src);
    const s = await got(`https://cdn.example/${basename(src)}`);
    const t = await got.post(src, { json: {} });
    const u = await fetch(new URL(src));
    return [r.data, s.body, t.body, u.status];
  }

  @Get('dl')
  async dl(@Query('f') f: string, @Res() res: Response) {
    const p = join(UPLOAD_DIR, f);
    res.download(p);
    const q = resolve(UPLOAD_DIR, f);
    if (!q.startsWith(UPLOAD_DIR + sep)) throw new BadRequestException();
    res.download(q);
  }

  @Post('up')
  @UseInterceptors(FileInterceptor('file'))
  async up(@UploadedFile() file: Express.Multer.File) {
    await fs.writeFile(join(UPLOAD_DIR, file.originalname), file.buffer);
    if (!['.png', '.jpg'].includes(extname(file.originalname))) throw new BadRequestException();
    await fs.writeFile(join(UPLOAD_DIR, randomUUID() + '.png'), file.buffer);
  }

  @Post('build')
  build(@Body('target') target: string) {
    execSync(`make ${target}`);
    spawnSync('make', [target], { cwd: '/srv' });
    const t = target as 'all' | 'clean';
    switch (target) {
      case 'all': case 'clean': execSync('make ' + target); break;
      default: throw new BadRequestException();
    }
  }

  @Post('calc')
  calc(@Body('e') e: string) {
    return eval(e);
  }
}

export function seal(secret: string, data: Buffer, pw: string) {
  const h = createHash('sha1').update(pw).digest();
  const etag = createHash('sha256').update(data).digest('base64');
  const k = pbkdf2Sync(pw, randomBytes(16), 310000, 32, 'sha256');
  const c = createCipheriv('rc4', k, null);
  const d = createCipheriv('aes-256-cbc', k, Buffer.alloc(16, 0));
  const e = createCipheriv('aes-256-cbc', k, randomBytes(16));
  const sessionId = `${Date.now()}${Math.random()}`;
  const retry = Math.random() * 1000;
  return { h, etag, c, d, e, sessionId, retry };
}

export const apiKey: string = 'zk_9f8e7d6c5b4a39281706';
export const apiKeyHeader: string = 'x-api-key';
const config = {
  database: { user: 'app', password: 'tR9!kLm2' },
  redis: { password: process.env.REDIS_PASSWORD ?? '' },
};

export function who(token: string) {
  const a = jwt.verify(token, config.database.user, { ignoreExpiration: true });
  const b = jwt.decode(token, { complete: true });
  const c = jwt.verify(token, readFileSync('/run/key'), { algorithms: ['RS256'] });
  return [a, b, c];
}

async function bootstrap() {
  const app = await NestFactory.create(AppModule);
  app.enableCors({ origin: (o, cb) => cb(null, true), credentials: true });
  app.enableCors({ origin: ['https://a.example'] });
  await app.listen(3000);
}
