"""Accounts service: sign-up, profiles and the admin search."""
import os
import pickle
import sqlite3
import subprocess

import yaml
from flask import Flask, abort, g, redirect, render_template, render_template_string, request
from markupsafe import Markup, escape

from passwords import hash_password, reset_token

app = Flask(__name__)
DATABASE = os.environ.get("ACCOUNTS_DB", "accounts.db")
SORTABLE = {"name": "name", "joined": "created_at"}


def database():
    if "db" not in g:
        g.db = sqlite3.connect(DATABASE)
    return g.db


@app.route("/users/search")
def search_users():
    term = request.args.get("q", "")
    cursor = database().cursor()
    cursor.execute("SELECT id, name FROM users WHERE name LIKE '%" + term + "%'")
    return {"users": cursor.fetchall()}


@app.route("/users/by-mail")
def user_by_mail():
    mail = request.args["mail"]
    cursor = database().cursor()
    cursor.execute("SELECT id, name FROM users WHERE mail = ?", (mail,))
    return {"users": cursor.fetchall()}


@app.route("/users/<int:user_id>/orders")
def user_orders(user_id):
    status = request.args.get("status", "open")
    query = f"SELECT id, total FROM orders WHERE owner = {user_id} AND status = '{status}'"
    rows = database().execute(query).fetchall()
    return {"orders": rows}


@app.route("/users/sorted")
def sorted_users():
    column = SORTABLE.get(request.args.get("sort"), "name")
    rows = database().execute("SELECT id, name FROM users ORDER BY " + column).fetchall()
    return {"users": rows}


@app.route("/avatar/convert", methods=["POST"])
def convert_avatar():
    source = request.form["file"]
    os.system("convert uploads/" + source + " -resize 128x128 avatars/out.png")
    return {"ok": True}


@app.route("/avatar/identify", methods=["POST"])
def identify_avatar():
    source = os.path.basename(request.form["file"])
    out = subprocess.run(["identify", "--", os.path.join("uploads", source)], capture_output=True, check=False)
    return {"info": out.stdout.decode(errors="replace")}


@app.route("/maintenance/disk")
def disk_usage():
    out = subprocess.check_output("df -h /var/lib/accounts", shell=True)
    return out


@app.route("/reports/ping")
def ping_host():
    host = request.args.get("host")
    return subprocess.check_output(f"ping -c 1 {host}", shell=True)


@app.route("/discount")
def discount():
    rule = request.args["rule"]
    return {"price": eval(rule)}


@app.route("/greeting")
def greeting():
    name = request.args.get("name", "you")
    return render_template_string("<h1>Hello " + name + "</h1>")


@app.route("/farewell")
def farewell():
    name = request.args.get("name", "you")
    return render_template_string("<h1>Goodbye {{ name }}</h1>", name=name)


@app.route("/badge")
def badge():
    label = request.args.get("label", "")
    return Markup("<span class='badge'>" + label + "</span>")


@app.route("/badge/safe")
def safe_badge():
    label = request.args.get("label", "")
    return Markup("<span class='badge'>{}</span>").format(escape(label))


@app.route("/session/restore", methods=["POST"])
def restore_session():
    state = pickle.loads(request.get_data())
    return {"user": state["user"]}


@app.route("/settings/import", methods=["POST"])
def import_settings():
    settings = yaml.load(request.get_data(), Loader=yaml.Loader)
    return {"count": len(settings)}


@app.route("/settings/preview", methods=["POST"])
def preview_settings():
    settings = yaml.safe_load(request.get_data())
    return {"count": len(settings)}


@app.route("/continue")
def continue_to():
    return redirect(request.args["next"])


@app.route("/back")
def back_to():
    target = request.args.get("next", "/")
    if target not in ("/", "/profile", "/orders"):
        abort(400)
    return redirect("/profile")


@app.route("/exports/<path:name>")
def export(name):
    with open("/srv/accounts/exports/" + request.args["name"]) as stream:
        return stream.read()


@app.route("/terms")
def terms():
    with open("/srv/accounts/static/terms.txt") as stream:
        return stream.read()


@app.route("/register", methods=["POST"])
def register():
    digest = hash_password(request.form["password"])
    database().execute("INSERT INTO users (name, mail, password) VALUES (?, ?, ?)",
                       (request.form["name"], request.form["mail"], digest))
    return render_template("welcome.html", token=reset_token())


if __name__ == "__main__":
    app.run(host="0.0.0.0", debug=True)
