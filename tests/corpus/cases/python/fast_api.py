import os
import pickle
import hashlib
from typing import Annotated, Optional

import aiofiles
import aiohttp
import asyncpg
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, File, Form, Header, HTTPException, Path, Query, Request, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, RedirectResponse, FileResponse
from jinja2 import Environment, select_autoescape, Template
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import BaseModel
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

app = FastAPI(debug=True)
router = APIRouter()
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
mongo = AsyncIOMotorClient().db
env = Environment()
env2 = Environment(autoescape=select_autoescape())


class Item(BaseModel):
    name: str
    count: int
    where: str


async def session() -> AsyncSession: ...


@router.get("/search")
async def search(q: str, limit: int = 10, db: AsyncSession = Depends(session)):
    a = await db.execute(text(f"SELECT * FROM item WHERE name = '{q}'"))
    b = await db.execute(text("SELECT * FROM item WHERE name = :q"), {"q": q})
    c = await db.execute(text(f"SELECT * FROM item LIMIT {limit}"))
    return a, b, c


@router.post("/items")
async def items(item: Item, pool: asyncpg.Pool = Depends()):
    async with pool.acquire() as con:
        rows = await con.fetch("SELECT * FROM item WHERE " + item.where)
        more = await con.fetch("SELECT * FROM item WHERE name = $1", item.name)
        cnt = await con.fetch("SELECT * FROM item LIMIT " + str(item.count))
    return rows + more + cnt


@app.get("/page", response_class=HTMLResponse)
async def page(name: str):
    return f"<html>{name}</html>"


@app.get("/page2")
async def page2(name: str = Query(...)):
    return HTMLResponse("<p>" + name + "</p>")


@app.get("/json")
async def as_json(name: str):
    return {"hello": name}


@app.get("/redir")
async def redir(to: str):
    return RedirectResponse(to)


@app.get("/redir2")
async def redir2(to: int):
    return RedirectResponse(f"/items/{to}")


@app.get("/download")
async def download(name: str):
    async with aiofiles.open("/data/" + name) as f:
        return await f.read()


@app.get("/download2")
async def download2(name: Annotated[str, Path(pattern="^[a-z]+$")]):
    names = {"a": "a.txt", "b": "b.txt"}
    if name not in names:
        raise HTTPException(404)
    return FileResponse("/data/" + names[name])


@app.post("/file")
async def upload(f: UploadFile):
    dest = os.path.join("/data", f.filename)
    with open(dest, "wb") as out:
        out.write(await f.read())


@app.get("/fetch")
async def fetch(url: str):
    async with aiohttp.ClientSession() as s:
        async with s.get(url) as r:
            return await r.text()


@app.get("/fetch2")
async def fetch2(code: str):
    async with aiohttp.ClientSession() as s:
        async with s.get("https://api.example/v1", params={"code": code}) as r:
            return await r.text()


@app.post("/find")
async def find(request: Request):
    body = await request.json()
    a = await mongo.users.find_one(body)
    b = await mongo.users.find_one({"name": str(body["name"])})
    c = await mongo.users.find_one({"$where": "this.name == '" + body["name"] + "'"})
    return a, b, c


@app.get("/tpl")
async def tpl(t: str):
    return Template(t).render()


@app.get("/sess")
async def sess(s: Annotated[str, Cookie()]):
    return pickle.loads(bytes.fromhex(s))


@app.get("/etag")
async def etag(name: str):
    return hashlib.sha256(name.encode()).hexdigest()


class Shell:
    def __init__(self, program):
        self.program = program

    def run(self, arg):
        return os.system(self.program + " " + arg)


@app.get("/sh")
async def sh(arg: str):
    return Shell("ls").run(arg)
