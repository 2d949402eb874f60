import asyncio
import os
import shlex
import subprocess
import sys
from subprocess import Popen, call

from flask import request


def case_101():
    folder = request.args["dir"]
    os.popen("ls -l " + folder)


def case_102():
    folder = request.args["dir"]
    os.popen("ls -l " + shlex.quote(folder))


def case_103():
    cmd = "tar tf " + request.form["archive"]
    p = Popen(cmd, shell=True, stdout=subprocess.PIPE)
    return p.communicate()


def case_104():
    p = Popen(["tar", "tf", request.form["archive"]], stdout=subprocess.PIPE)
    return p.communicate()


def case_105():
    call("nslookup %s" % request.args["host"], shell=True)


def case_106():
    call("sync", shell=True)


def case_107():
    args = ["sh", "-c", "echo " + request.args["text"]]
    subprocess.run(args)


def case_108():
    text = request.args["text"]
    text = "hello"
    os.system("echo " + text)


def case_109():
    out = subprocess.getoutput("file " + request.files["f"].filename)
    return out


async def case_110():
    name = request.args["name"]
    await asyncio.create_subprocess_shell(f"id {name}")


async def case_111():
    name = request.args["name"]
    await asyncio.create_subprocess_exec("id", name)


def case_112():
    os.system(sys.argv[1])


def case_113():
    kind = request.args["kind"]
    commands = {"a": "uptime", "b": "uname -a"}
    if kind not in commands:
        return None
    return subprocess.check_output(commands[kind], shell=True)


def case_114():
    """os.system("rm " + request.args["x"])"""
    return 1


def case_115():
    exec(request.form["code"])


def case_116():
    import ast
    return ast.literal_eval(request.form["value"])


def case_117():
    code = compile(request.form["code"], "x", "exec")
    return code


def case_118():
    return eval("1 + 2")


def case_119():
    name = request.args["module"]
    return __import__(name)
