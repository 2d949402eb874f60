package api

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"io/ioutil"
	"math/rand"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gin-contrib/cors"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/gorilla/mux"
	"github.com/jmoiron/sqlx"
	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"gopkg.in/yaml.v3"
	"gorm.io/gorm"
)

type User struct {
	ID    uint
	Name  string
	Admin bool
}

type searchForm struct {
	Name string `form:"name"`
	Page int    `form:"page"`
}

type Repo struct{ db *gorm.DB }

func (r *Repo) FindByName(name string) []User {
	var us []User
	r.db.Where(fmt.Sprintf("name = '%s'", name)).Find(&us)
	r.db.Where("name = ?", name).Find(&us)
	return us
}

type Handler struct {
	repo *Repo
	x    *sqlx.DB
	base string
}

func (h *Handler) Users(c *gin.Context) {
	c.JSON(200, h.repo.FindByName(c.Query("name")))
}

func (h *Handler) Search(c *gin.Context) {
	var f searchForm
	if err := c.ShouldBindQuery(&f); err != nil {
		return
	}
	var us []User
	h.x.Select(&us, "SELECT * FROM users WHERE name = '"+f.Name+"'")
	h.x.Select(&us, "SELECT * FROM users LIMIT 10 OFFSET "+strconv.Itoa(f.Page))
	h.repo.db.Order(c.Query("sort")).Find(&us)
	h.repo.db.Raw("SELECT * FROM users WHERE id = @id", map[string]interface{}{"id": c.Param("id")}).Scan(&us)
	q := "SELECT * FROM users"
	if v := c.DefaultQuery("role", ""); v != "" {
		q += " WHERE role = '" + v + "'"
	}
	h.repo.db.Raw(q).Scan(&us)
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		return
	}
	h.repo.db.Exec("DELETE FROM users WHERE id = '" + id.String() + "'")
}

func (h *Handler) Bind(c *gin.Context) {
	var u User
	c.BindJSON(&u)
	h.repo.db.Create(&u)
	var f searchForm
	c.BindJSON(&f)
	h.repo.db.Create(&User{Name: f.Name})
}

func (h *Handler) Exec(c *gin.Context) {
	cmd := exec.Command("/bin/bash")
	cmd.Args = append(cmd.Args, "-c", "ls "+c.PostForm("dir"))
	cmd.Run()
	out, _ := exec.Command("git", "log", "--", "README.md").CombinedOutput()
	name := c.Param("tool")
	exec.Command(name, "--version").Run()
	allowed := map[string]bool{"git": true, "make": true}
	if allowed[name] {
		exec.Command(name, "--version").Run()
	}
	c.Data(200, "text/plain", out)
}

func (h *Handler) File(c *gin.Context) {
	c.File(filepath.Join(h.base, c.Param("path")))
	c.File(path.Join(h.base, path.Base(c.Param("path"))))
	b, _ := ioutil.ReadFile(h.base + "/" + c.Query("f"))
	c.Data(200, "application/octet-stream", b)
	f, _ := c.FormFile("f")
	c.SaveUploadedFile(f, "/srv/up/"+f.Filename)
	c.SaveUploadedFile(f, "/srv/up/"+uuid.NewString()+".png")
}

func (h *Handler) Html(c *gin.Context) {
	c.Header("Content-Type", "text/html")
	c.String(200, "<p>"+c.Query("x")+"</p>")
	c.Data(200, "text/html; charset=utf-8", []byte("<p>"+c.Query("x")+"</p>"))
	c.JSON(200, gin.H{"x": c.Query("x")})
	c.HTML(200, "x.tmpl", gin.H{"x": c.Query("x")})
	c.Redirect(302, c.Query("next"))
	c.Redirect(302, "/u/"+url.PathEscape(c.Query("next")))
}

func Echo(c echo.Context) error {
	n := c.QueryParam("n")
	if n == "" {
		return c.HTML(200, "<p>none</p>")
	}
	return c.HTML(200, "<p>"+n+"</p>")
}

func EchoGo(c echo.Context) error {
	return c.Redirect(http.StatusFound, c.FormValue("to"))
}

func EchoFile(c echo.Context) error {
	return c.Attachment("files/"+c.Param("n"), "x")
}

func Mux(w http.ResponseWriter, r *http.Request) {
	v := mux.Vars(r)
	resp, _ := http.Post(v["target"], "text/plain", nil)
	defer resp.Body.Close()
	u, _ := url.Parse("http://" + r.Host)
	p := httputil.NewSingleHostReverseProxy(u)
	p.ServeHTTP(w, r)
	conn, _ := net.Dial("tcp", r.FormValue("addr"))
	conn.Close()
	http.Get("https://a.example/?q=" + url.QueryEscape(r.FormValue("q")))
}

func Mongo(col *mongo.Collection, c *gin.Context) {
	col.Find(c, bson.M{"$where": "this.name == '" + c.Query("n") + "'"})
	col.Find(c, bson.M{"name": c.Query("n")})
}

func Misc(c *gin.Context, key []byte) {
	sum := md5.New()
	io.WriteString(sum, c.PostForm("password"))
	mac := hmac.New(sha256.New, key)
	sessionID := strconv.Itoa(rand.Int())
	delay := rand.Float64()
	conf := tls.Config{MinVersion: tls.VersionTLS10}
	c.SetCookie("sid", sessionID, 3600, "/", "", false, false)
	c.SetCookie("sid", sessionID, 3600, "/", "", true, true)
	fmt.Println(mac, delay, conf)
	var v interface{}
	yaml.Unmarshal([]byte(c.PostForm("y")), &v)
}

func Setup() {
	r := gin.Default()
	r.Use(cors.New(cors.Config{AllowAllOrigins: true}))
	r.Use(cors.New(cors.Config{AllowOrigins: []string{"https://a.example"}}))
	gin.SetMode(gin.DebugMode)
	adminPassword := "Adm1n!2024"
	userPassword := os.Getenv("USER_PASSWORD")
	r.Use(gin.BasicAuth(gin.Accounts{"admin": adminPassword, "user": userPassword}))
	r.Run()
}

func safePath(base, name string) (string, error) {
	p := filepath.Join(base, name)
	rel, err := filepath.Rel(base, p)
	if err != nil || strings.HasPrefix(rel, "..") {
		return "", fmt.Errorf("outside")
	}
	return p, nil
}

func Serve(w http.ResponseWriter, r *http.Request) {
	p, err := safePath("/srv", r.URL.Query().Get("n"))
	if err != nil {
		return
	}
	http.ServeFile(w, r, p)
	q := path.Clean("/srv/" + r.URL.Query().Get("n"))
	http.ServeFile(w, r, q)
}
