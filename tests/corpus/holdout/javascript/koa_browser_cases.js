import Router from '@koa/router';
import $ from 'jquery';

const router = new Router();

router.get('/101', async (ctx) => {
  ctx.body = '<h2>' + ctx.query.title + '</h2>';
});

router.get('/102', async (ctx) => {
  ctx.body = { title: ctx.query.title };
});

router.get('/103', async (ctx) => {
  ctx.redirect(ctx.query.back);
});

router.get('/104', async (ctx) => {
  ctx.redirect('/list');
});

export function case105() {
  document.getElementById('out').innerHTML = location.hash.slice(1);
}

export function case106() {
  document.getElementById('out').innerText = location.hash.slice(1);
}

export function case107() {
  document.write('<img src="' + new URLSearchParams(location.search).get('i') + '">');
}

export function case108(name) {
  $('#greeting').html('Hi ' + name);
}

export function case109(name) {
  $('#greeting').text('Hi ' + name);
}

export function case110(box, comment) {
  box.insertAdjacentHTML('beforeend', '<p>' + comment + '</p>');
}

export function case111(box) {
  box.outerHTML = '<hr>';
}

export function case112() {
  const to = new URL(location.href).searchParams.get('to');
  window.location.href = to;
}

export function case113() {
  window.location.href = '/login';
}
