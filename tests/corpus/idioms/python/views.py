from django.http import HttpResponse, JsonResponse, HttpResponseRedirect
from django.shortcuts import render, redirect
from django.db import connection
from django.utils.safestring import mark_safe
from django.utils.html import format_html
from django.views import View
from .models import Item
import subprocess, hashlib, random, secrets, requests, ssl, os, tempfile, jwt, ldap, ldap.filter
from lxml import etree
from Crypto.Cipher import AES, DES
import xml.etree.ElementTree as ET
SECRET = os.environ['SECRET']
class ItemView(View):
    def get(self, request, pk):
        q = request.GET.get('q', '')
        items = Item.objects.raw("SELECT * FROM item WHERE name = '%s'" % q)
        items2 = Item.objects.raw("SELECT * FROM item WHERE name = %s", [q])
        items3 = Item.objects.extra(where=["name = '%s'" % q])
        return render(request, 'x.html', {'items': items, 'q': q})
    def post(self, request):
        name = request.POST['name']
        with connection.cursor() as c:
            c.execute("INSERT INTO t VALUES ('" + name + "')")
            c.execute("INSERT INTO t VALUES (%s)", [name])
        return HttpResponse('<b>' + name + '</b>')
    def put(self, request):
        return HttpResponse(format_html('<b>{}</b>', request.GET['n']))
    def patch(self, request):
        return HttpResponse(mark_safe('<b>' + request.GET['n'] + '</b>'))
def a(request): return redirect(request.GET['next'])
def b(request): return redirect('home', pk=request.GET['pk'])
def c(request): return HttpResponse(open('/data/' + request.GET['f']).read(), content_type='text/plain')
def d(request): return JsonResponse({'x': requests.get(request.GET['u']).text})
def e(request): return JsonResponse({'x': requests.get('https://a.example/x', params={'q': request.GET['q']}).text})
def f(request): subprocess.Popen(['tar', 'cf', 'x.tar', request.GET['d']])
def g(request): subprocess.check_output('tar cf x.tar %s' % request.GET['d'], shell=True)
def h(p): return hashlib.md5(p.encode()).hexdigest()
def i(p): return hashlib.pbkdf2_hmac('sha256', p, os.urandom(16), 200000)
def j(): token = ''.join(random.choices('abc', k=20)); return token
def k(): return secrets.token_urlsafe(20)
def l(x): return AES.new(x, AES.MODE_ECB)
def m(x): return AES.new(x, AES.MODE_GCM)
def n(u): return requests.get(u, verify=False)
def o(): c = ssl.create_default_context(); return c
def p(request): return etree.parse(request.FILES['f'], etree.XMLParser(resolve_entities=True))
def q(request): return etree.parse(request.FILES['f'], etree.XMLParser(resolve_entities=False, no_network=True))
def r(t): return jwt.decode(t, options={'verify_signature': False})
def s(t): return jwt.decode(t, SECRET, algorithms=['HS256'])
def t(request, con): return con.search_s('dc=x', ldap.SCOPE_SUBTREE, '(uid=%s)' % request.GET['u'])
def u(request, con): return con.search_s('dc=x', ldap.SCOPE_SUBTREE, '(uid=%s)' % ldap.filter.escape_filter_chars(request.GET['u']))
def v(request):
    f = request.FILES['f']
    with open('/srv/up/' + f.name, 'wb') as out: out.write(f.read())
def w(request):
    Item.objects.create(**request.POST.dict())
def x(request):
    Item.objects.create(name=request.POST['name'])
def y(request): return Item.objects.filter(**{request.GET['field'] + '__icontains': 'x'})
def z(): f = tempfile.mktemp(); return f
def za(): fd, f = tempfile.mkstemp(); return f
def zb(request): return eval(request.GET['e'])
def zc(request): import ast; return ast.literal_eval(request.GET['e'])
def zd(request): import importlib; return importlib.import_module(request.GET['m'])
def ze(request): tree = ET.parse('x.xml'); return tree.find(".//u[@n='" + request.GET['n'] + "']")
DEBUG = True
