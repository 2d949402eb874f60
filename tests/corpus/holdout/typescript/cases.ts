import { Body, Controller, Get, Param, Post, Query, Redirect, Res } from '@nestjs/common';
import { PrismaClient } from '@prisma/client';
import * as child from 'node:child_process';
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as https from 'node:https';
import axios, { AxiosResponse } from 'axios';
import { Client } from 'ldapjs';
import * as nunjucks from 'nunjucks';
import { DataSource, Repository } from 'typeorm';
import { Response } from 'express';
import { Sequelize, QueryTypes } from 'sequelize';
import { Account } from './account.entity';

const prisma = new PrismaClient();

@Controller('cases')
export class CasesController {
  constructor(
    private readonly source: DataSource,
    private readonly sequelize: Sequelize,
    private readonly accounts: Repository<Account>,
  ) {}

  @Get('001')
  async case001(@Query('q') q: string): Promise<unknown> {
    return this.source.query(`SELECT * FROM account WHERE nick LIKE '%${q}%'`);
  }

  @Get('002')
  async case002(@Query('q') q: string): Promise<unknown> {
    return this.source.query('SELECT * FROM account WHERE nick LIKE $1', [q]);
  }

  @Get('003')
  async case003(@Query('id') id: string): Promise<unknown> {
    const sql: string = 'SELECT * FROM account WHERE id = ' + id;
    return this.sequelize.query(sql, { type: QueryTypes.SELECT });
  }

  @Get('004')
  async case004(@Query('id') id: string): Promise<unknown> {
    return this.sequelize.query('SELECT * FROM account WHERE id = :id', { replacements: { id } });
  }

  @Get('005')
  async case005(@Query('id') id: string): Promise<unknown> {
    return prisma.$queryRawUnsafe('SELECT * FROM account WHERE id = ' + id);
  }

  @Get('006')
  async case006(@Query('id') id: string): Promise<unknown> {
    return prisma.$queryRaw`SELECT * FROM account WHERE id = ${id}`;
  }

  @Get('007')
  async case007(@Query('by') by: string): Promise<Account[]> {
    return this.accounts.createQueryBuilder('a').where("a.nick = '" + by + "'").getMany();
  }

  @Get('008')
  async case008(@Query('by') by: string): Promise<Account[]> {
    return this.accounts.createQueryBuilder('a').where('a.nick = :by', { by }).getMany();
  }

  @Post('009')
  case009(@Body() body: { file: string }): string {
    return child.execSync('sha256sum ' + body.file).toString();
  }

  @Post('010')
  case010(@Body() body: { file: string }): string {
    return child.execFileSync('sha256sum', [body.file]).toString();
  }

  @Post('011')
  case011(@Body('expr') expr: string): number {
    return eval(expr) as number;
  }

  @Post('012')
  case012(@Body('expr') expr: string): number {
    return Number(expr);
  }

  @Get('013')
  case013(@Query('t') t: string): string {
    return nunjucks.renderString(t, {});
  }

  @Get('014')
  case014(@Query('t') t: string): string {
    return nunjucks.renderString('Hello {{ t }}', { t });
  }

  @Get('015')
  case015(@Query('n') n: string, @Res() res: Response): void {
    res.send('<h3>' + n + '</h3>');
  }

  @Get('016')
  case016(@Query('n') n: string, @Res() res: Response): void {
    res.json({ n });
  }

  @Get('017')
  case017(@Query('f') f: string): string {
    return fs.readFileSync('./docs/' + f, 'utf8');
  }

  @Get('018')
  case018(): string {
    return fs.readFileSync('./docs/index.md', 'utf8');
  }

  @Get('019')
  async case019(@Query('u') u: string): Promise<number> {
    const answer: AxiosResponse = await axios.get(u);
    return answer.status;
  }

  @Get('020')
  async case020(@Query('u') u: string): Promise<number> {
    const answer: AxiosResponse = await axios.get('https://api.internal.test/x', { params: { u } });
    return answer.status;
  }

  @Get('021')
  case021(@Query('to') to: string, @Res() res: Response): void {
    res.redirect(to);
  }

  @Get('022')
  @Redirect('/home', 302)
  case022(): void {}

  @Post('023')
  async case023(@Body() body: any): Promise<Account> {
    return this.accounts.save(body);
  }

  @Post('024')
  async case024(@Body() body: any): Promise<Account> {
    return this.accounts.save({ nick: String(body.nick) });
  }

  @Get('025/:uid')
  case025(@Param('uid') uid: string, client: Client): void {
    client.search('ou=people', { filter: `(uid=${uid})`, scope: 'sub' }, () => undefined);
  }

  @Get('026')
  case026(client: Client): void {
    client.search('ou=people', { filter: '(objectClass=person)', scope: 'sub' }, () => undefined);
  }
}

export const case027 = (data: Buffer): string => crypto.createHash('md5').update(data).digest('hex');
export const case028 = (data: Buffer): string => crypto.createHash('sha384').update(data).digest('hex');
export const case029 = (key: Buffer, iv: Buffer) => crypto.createDecipheriv('des-ede3-cbc', key, iv);
export const case030 = (key: Buffer, iv: Buffer) => crypto.createDecipheriv('aes-256-gcm', key, iv);
export function case031(): string {
  const password: string = Math.random().toString(36);
  return password;
}
export function case032(): string {
  const password: string = crypto.randomBytes(12).toString('base64');
  return password;
}
export const case033 = https.request({ host: 'a.test', rejectUnauthorized: false });
export const case034 = https.request({ host: 'a.test' });
export class Mailer {
  private readonly apiKey: string = 'mk_9fK2qLz81xTb5Vw0';
  private readonly secret: string = process.env.MAIL_SECRET ?? '';
  use(): number {
    return this.apiKey.length + this.secret.length;
  }
}
export function Comment(props: { html: string; text: string }): unknown {
  return { dangerouslySetInnerHTML: { __html: props.html }, title: props.text };
}
