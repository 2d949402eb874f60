using System;
using System.Collections.Generic;
using System.Data.SqlClient;
using System.Diagnostics;
using System.DirectoryServices;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Runtime.Serialization.Formatters.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Web;
using System.Xml;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.EntityFrameworkCore;
using Newtonsoft.Json;

namespace Shop
{
    [ApiController]
    [Route("shop")]
    public class ShopController : Controller
    {
        private readonly SqlConnection _con;
        private readonly ShopContext _db;
        private static readonly HashSet<string> Columns = new HashSet<string> { "id", "name" };
        private const string ConnectionString = "Server=db;Database=shop;User Id=app;Password=V3ryS3cret;";

        [HttpGet("items")]
        public IActionResult Items(string name, int id, string sort)
        {
            var cmd = new SqlCommand("SELECT * FROM items WHERE name = '" + name + "'", _con);
            var cmd2 = new SqlCommand("SELECT * FROM items WHERE name = @n", _con);
            cmd2.Parameters.AddWithValue("@n", name);
            var cmd3 = new SqlCommand($"SELECT * FROM items WHERE id = {id}", _con);
            cmd.CommandText = $"SELECT * FROM items WHERE name = '{name}'";
            _db.Items.FromSqlRaw("SELECT * FROM items WHERE name = '" + name + "'");
            _db.Items.FromSqlInterpolated($"SELECT * FROM items WHERE name = {name}");
            if (!Columns.Contains(sort)) return BadRequest();
            var cmd4 = new SqlCommand("SELECT * FROM items ORDER BY " + sort, _con);
            return Ok();
        }

        [HttpGet("run")]
        public IActionResult Run(string file)
        {
            Process.Start("cmd.exe", "/c type " + file);
            var psi = new ProcessStartInfo("convert");
            psi.ArgumentList.Add(file);
            Process.Start(psi);
            return Ok();
        }

        [HttpGet("file")]
        public IActionResult Get(string name)
        {
            var text = System.IO.File.ReadAllText(Path.Combine("/srv", name));
            var safe = System.IO.File.ReadAllText(Path.Combine("/srv", Path.GetFileName(name)));
            return Content("<p>" + name + "</p>", "text/html");
        }

        [HttpGet("page")]
        public IActionResult Page(string name)
        {
            return Content("<p>" + HttpUtility.HtmlEncode(name) + "</p>", "text/html");
        }

        [HttpGet("go")]
        public IActionResult Go(string url)
        {
            if (Url.IsLocalUrl(url)) return Redirect(url);
            return Redirect(url);
        }

        [HttpGet("fetch")]
        public async System.Threading.Tasks.Task<string> Fetch(string url)
        {
            var c = new HttpClient();
            return await c.GetStringAsync(url);
        }

        public object Load(Stream s, string json, string xml)
        {
            var f = new BinaryFormatter();
            var o = f.Deserialize(s);
            var p = JsonConvert.DeserializeObject(json, new JsonSerializerSettings { TypeNameHandling = TypeNameHandling.All });
            var q = JsonConvert.DeserializeObject<Item>(json);
            var d = new XmlDocument { XmlResolver = new XmlUrlResolver() };
            d.LoadXml(xml);
            var e = new XmlDocument { XmlResolver = null };
            e.LoadXml(xml);
            return o;
        }

        public void People(string uid)
        {
            var s = new DirectorySearcher();
            s.Filter = "(uid=" + uid + ")";
        }

        public byte[] Crypto(string pw, byte[] data)
        {
            var a = MD5.Create().ComputeHash(Encoding.UTF8.GetBytes(pw));
            var b = SHA256.Create().ComputeHash(data);
            var c = new DESCryptoServiceProvider();
            var d = Aes.Create();
            d.Mode = CipherMode.ECB;
            var token = new Random().Next().ToString();
            var good = RandomNumberGenerator.GetBytes(16);
            var h = new HttpClientHandler();
            h.ServerCertificateCustomValidationCallback = (m, x, y, z) => true;
            Response.Cookies.Append("sid", token, new CookieOptions { Secure = false });
            Response.Cookies.Append("sid", token, new CookieOptions { Secure = true, HttpOnly = true, SameSite = SameSiteMode.Lax });
            return a;
        }
    }
}
