import sqlite3
import psycopg2
import pymysql
from django.db import connection
from django.db.models.expressions import RawSQL
from flask import request
from sqlalchemy import create_engine, text

from shop.models import Article

engine = create_engine("sqlite://")


def case_001(conn):
    name = request.form["name"]
    sql = "DELETE FROM visitors WHERE name = '%s'" % name
    conn.cursor().execute(sql)


def case_002(conn):
    name = request.form["name"]
    conn.cursor().execute("DELETE FROM visitors WHERE name = %s", (name,))


def case_003(conn):
    table = request.args.get("t")
    sql = "SELECT * FROM {}".format(table)
    cur = conn.cursor()
    cur.execute(sql)


def case_004(conn):
    table = request.args.get("t")
    table = "visitors"
    sql = "SELECT * FROM {}".format(table)
    cur = conn.cursor()
    cur.execute(sql)


def case_005():
    key = request.cookies.get("key")
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE session SET seen = 1 WHERE key = '{key}'")


def case_006():
    key = request.cookies.get("key")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE session SET seen = 1 WHERE key = %s", [key])


def case_007():
    tag = request.GET["tag"]
    return Article.objects.raw("SELECT * FROM article WHERE tag = '" + tag + "'")


def case_008():
    tag = request.GET["tag"]
    return Article.objects.raw("SELECT * FROM article WHERE tag = %s", [tag])


def case_009():
    tag = request.GET["tag"]
    return Article.objects.filter(tag=tag)


def case_010():
    where = request.args["w"]
    return Article.objects.extra(where=["score > " + where])


def case_011():
    ident = request.args["id"]
    with engine.connect() as c:
        return c.execute(text("SELECT * FROM item WHERE id = " + ident)).fetchall()


def case_012():
    ident = request.args["id"]
    with engine.connect() as c:
        return c.execute(text("SELECT * FROM item WHERE id = :id"), {"id": ident}).fetchall()


def build_statement(value):
    return "SELECT * FROM visitors WHERE city = '" + value + "'"


def case_013(conn):
    statement = build_statement(request.args["city"])
    conn.execute(statement)


def case_014(conn):
    number = int(request.args["n"])
    conn.execute("SELECT * FROM visitors LIMIT %d" % number)


def case_015(conn):
    # conn.execute("SELECT * FROM t WHERE a = '" + request.args["a"] + "'")
    note = 'conn.execute("SELECT " + request.args["a"])'
    return note


def case_016(conn):
    parts = ["SELECT name FROM visitors"]
    if request.args.get("city"):
        parts.append("WHERE city = '" + request.args["city"] + "'")
    query = " ".join(parts)
    conn.execute(query)


def case_017():
    db = pymysql.connect(host="db")
    script = "UPDATE t SET a = 1; " + request.values["extra"]
    with db.cursor() as cur:
        cur.execute(script)


def case_018():
    db = psycopg2.connect("dbname=shop")
    value = request.values["extra"]
    flag = 7
    if flag < 3:
        sql = "SELECT " + value
    else:
        sql = "SELECT 1"
    with db.cursor() as cur:
        cur.execute("SELECT now()")


def case_019():
    mem = sqlite3.connect(":memory:")
    mem.executescript("CREATE TABLE a (b); CREATE INDEX c ON a (b);")
    mem.executescript(request.data.decode())


def case_020(queryset):
    return queryset.annotate(rank=RawSQL("rank(" + request.GET["by"] + ")", []))
