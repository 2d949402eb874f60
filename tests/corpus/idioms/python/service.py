import os, subprocess, sqlite3, pickle, yaml, re, shlex
from flask import Flask, request, render_template_string, redirect, send_file, abort
from markupsafe import escape
app = Flask(__name__)
class Repo:
    table = 'users'
    def __init__(self, conn): self.conn = conn
    def by_name(self, name): return self.conn.execute(f"SELECT * FROM users WHERE name = '{name}'")
    def by_id(self, i): return self.conn.execute(f"SELECT * FROM {self.table} WHERE id = ?", (i,))
@app.get('/a')
def a():
    return Repo(sqlite3.connect('x')).by_name(request.args['n'])
@app.get('/b')
def b():
    with sqlite3.connect('x') as c:
        cur = c.cursor()
        cur.execute("SELECT * FROM t WHERE n = '%s'" % request.args.get('n'))
        cur.execute("SELECT * FROM t WHERE n = '%s'" % int(request.args.get('n')))
@app.get('/c')
def c():
    name = request.args.get('n', '')
    return f"<p>{escape(name)}</p>"
@app.get('/d')
def d():
    return f"<p>{request.args.get('n')}</p>"
@app.get('/e')
def e():
    p = os.path.realpath(os.path.join('/data', request.args['f']))
    if os.path.commonpath([p, '/data']) != '/data':
        abort(403)
    return send_file(p)
@app.get('/f')
def f():
    return send_file(os.path.join('/data', request.args['f']))
@app.get('/g')
def g():
    cmd = ['ls', '-l']
    cmd.append(request.args['d'])
    subprocess.run(cmd)
    subprocess.run(' '.join(cmd), shell=True)
@app.get('/h')
def h():
    cols = {'n': 'name', 'a': 'age'}
    col = cols.get(request.args['c'], 'name')
    sqlite3.connect('x').execute('SELECT * FROM t ORDER BY ' + col)
@app.get('/i')
def i():
    where = ' AND '.join(f"{k} = '{v}'" for k, v in request.args.items())
    sqlite3.connect('x').execute('SELECT * FROM t WHERE ' + where)
@app.get('/j')
def j():
    ph = ','.join('?' for _ in request.args.getlist('i'))
    sqlite3.connect('x').execute(f'SELECT * FROM t WHERE i IN ({ph})', request.args.getlist('i'))
@app.get('/k')
def k():
    if not re.fullmatch(r'[a-z]+', request.args['d']):
        abort(400)
    os.system('ls ' + request.args['d'])
@app.get('/l')
def l():
    if m := re.match(r'^([a-z]+)$', request.args['d']):
        os.system('ls ' + m.group(1))
@app.post('/m')
def m():
    data = request.get_data()
    return str(pickle.loads(data))
@app.post('/n')
def n():
    return str(yaml.safe_load(request.data))
@app.get('/o')
def o():
    run = {'a': lambda x: os.system('echo ' + x)}['a']
    run(request.args['x'])
@app.get('/p')
def p():
    try:
        x = request.args['x']
    except KeyError:
        x = 'ls'
    finally:
        pass
    os.system(x)
def deco(fn):
    def inner(*a, **k): return fn(*a, **k)
    return inner
@app.get('/q')
@deco
def q():
    t = request.args.get('t') or 'x'
    return render_template_string('<p>' + t + '</p>')
@app.get('/r')
def r():
    return render_template_string('<p>{{ t }}</p>', t=request.args['t'])
@app.get('/s')
def s():
    target = request.args['u']
    from urllib.parse import urlparse
    if urlparse(target).netloc not in ('', 'a.example'):
        abort(400)
    return redirect(target)
@app.get('/t')
def t():
    x, *rest = request.args['x'].split(',')
    os.system('ls ' + rest[0])
@app.get('/u')
async def u():
    import asyncio
    p = await asyncio.create_subprocess_shell('ls ' + request.args['x'])
@app.get('/v')
def v():
    args = dict(request.args)
    args['x'] = shlex.quote(args['x'])
    os.system('ls ' + args['x'])
@app.get('/w')
def w():
    g = (x for x in request.args.getlist('x'))
    for y in g:
        os.system(y)
