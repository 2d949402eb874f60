import { Body, Controller, Get, Header, Param, Post, Query, Redirect, Req, Res, UploadedFile, UseInterceptors } from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository, DataSource } from 'typeorm';
import { PrismaClient } from '@prisma/client';
import { Request, Response } from 'express';
import * as cp from 'child_process';
import { createHash, createCipheriv, randomInt } from 'crypto';
import { createReadStream, readFileSync, writeFileSync } from 'fs';
import { join, resolve } from 'path';
import ejs from 'ejs';
import got from 'got';
import fetch from 'node-fetch';
import { XMLParser } from 'fast-xml-parser';
import { Sequelize, QueryTypes } from 'sequelize';
import { Component, ElementRef, Input } from '@angular/core';
import { DomSanitizer, SafeHtml } from '@angular/platform-browser';

const prisma = new PrismaClient();

@Controller('books')
export class BooksController {
  constructor(private readonly ds: DataSource, private readonly sequelize: Sequelize) {}

  @Get()
  async find(@Query('title') title: string) {
    return this.ds.query(`SELECT * FROM book WHERE title = '${title}'`);
  }

  @Get('safe')
  async findSafe(@Query('title') title: string) {
    return this.ds.query('SELECT * FROM book WHERE title = $1', [title]);
  }

  @Get('by-author')
  async byAuthor(@Query('author') author: string) {
    return this.ds
      .getRepository('Book')
      .createQueryBuilder('b')
      .where("b.author = '" + author + "'")
      .getMany();
  }

  @Get('by-author-safe')
  async byAuthorSafe(@Query('author') author: string) {
    return this.ds.getRepository('Book').createQueryBuilder('b').where('b.author = :author', { author }).getMany();
  }

  @Get('raw')
  async raw(@Query('q') q: string) {
    return prisma.$queryRawUnsafe('SELECT * FROM "Book" WHERE isbn = ' + q);
  }

  @Get('raw-safe')
  async rawSafe(@Query('q') q: string) {
    return prisma.$queryRaw`SELECT * FROM "Book" WHERE isbn = ${q}`;
  }

  @Get('seq')
  async seq(@Query('year') year: string) {
    return this.sequelize.query('SELECT * FROM books WHERE year > ' + year, { type: QueryTypes.SELECT });
  }

  @Post('export')
  export(@Body('format') format: string): string {
    return cp.execSync(`pandoc -t ${format} book.md`).toString();
  }

  @Post('export-safe')
  exportSafe(@Body('format') format: string): string {
    return cp.execFileSync('pandoc', ['-t', format, 'book.md']).toString();
  }

  @Post('export-shell')
  exportShell(@Body('name') name: string) {
    cp.spawn('tar czf ' + name + '.tgz books', { shell: true });
  }

  @Get('cover/:file')
  cover(@Param('file') file: string, @Res() res: Response) {
    createReadStream(join('/srv/covers', file)).pipe(res);
  }

  @Get('cover-safe/:id')
  coverSafe(@Param('id') id: string, @Res() res: Response) {
    createReadStream(join('/srv/covers', `${parseInt(id, 10)}.png`)).pipe(res);
  }

  @Get('note')
  note(@Query('path') path: string): string {
    return readFileSync(resolve('notes', path), 'utf8');
  }

  @Get('go')
  go(@Query('url') url: string, @Res() res: Response) {
    res.redirect(302, url);
  }

  @Get('go-safe')
  goSafe(@Res() res: Response) {
    res.redirect(302, '/books');
  }

  @Get('preview')
  async preview(@Query('url') url: string) {
    return (await fetch(url)).text();
  }

  @Get('preview2')
  async preview2(@Query('url') url: string) {
    return got(url).text();
  }

  @Get('preview-safe')
  async previewSafe(@Query('id') id: string) {
    return (await fetch('https://covers.example.org/' + encodeURIComponent(id))).text();
  }

  @Get('hello')
  @Header('content-type', 'text/html')
  hello(@Query('name') name: string, @Res() res: Response) {
    res.send(`<b>Hello ${name}</b>`);
  }

  @Post('render')
  render(@Body('tpl') tpl: string) {
    return ejs.render(tpl, { books: [] });
  }

  @Post('upload')
  @UseInterceptors(FileInterceptor('file'))
  upload(@UploadedFile() file: Express.Multer.File) {
    writeFileSync('public/' + file.originalname, file.buffer);
  }

  @Post('filter')
  filter(@Body('expr') expr: string) {
    return [1, 2, 3].filter((n) => eval(expr));
  }

  @Post('create')
  async create(@Req() req: Request) {
    return prisma.user.create({ data: req.body });
  }
}

@Component({ selector: 'app-note', template: '<div [innerHTML]="html"></div>' })
export class NoteComponent {
  html: SafeHtml;
  constructor(private sanitizer: DomSanitizer, private el: ElementRef) {}
  @Input() set body(value: string) {
    this.html = this.sanitizer.bypassSecurityTrustHtml(value);
  }
  clear() {
    this.el.nativeElement.innerHTML = '';
  }
}

export function Comment({ text }: { text: string }) {
  return <div dangerouslySetInnerHTML={{ __html: text }} />;
}

export function Plain({ text }: { text: string }) {
  return <div>{text}</div>;
}

export const fingerprint = (s: string): string => createHash('sha1').update(s).digest('hex');
export const fingerprint2 = (s: string): string => createHash('sha512').update(s).digest('hex');

export function seal(key: Buffer, data: Buffer): Buffer {
  const cipher = createCipheriv('aes-128-ecb', key, null);
  return Buffer.concat([cipher.update(data), cipher.final()]);
}

export function oneTimeCode(): string {
  return Math.floor(100000 + Math.random() * 900000).toString();
}

export function oneTimeCodeSafe(): string {
  return randomInt(100000, 1000000).toString();
}

const dbPassword = 'Winter2024!books';
const dbPasswordFromEnv = process.env.DB_PASSWORD ?? '';

export const client = got.extend({ https: { rejectUnauthorized: false } });
