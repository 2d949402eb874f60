package main

import (
	"crypto/des"
	"crypto/md5"
	"crypto/rand"
	"crypto/rc4"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	"encoding/gob"
	"encoding/xml"
	"fmt"
	"html/template"
	"io"
	mrand "math/rand"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	texttemplate "text/template"

	"github.com/gin-gonic/gin"
	"github.com/go-ldap/ldap/v3"
	"github.com/jmoiron/sqlx"
	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/ssh"
	"gorm.io/gorm"
)

const signingKey = "q8Zk2LmPx0vB7rTn"

type store struct {
	db   *sql.DB
	x    *sqlx.DB
	gorm *gorm.DB
}

func (s *store) byCity(w http.ResponseWriter, r *http.Request) {
	city := r.URL.Query().Get("city")
	rows, err := s.db.QueryContext(r.Context(), "SELECT id FROM hotels WHERE city = '"+city+"'")
	_, _ = rows, err
}

func (s *store) byCitySafe(w http.ResponseWriter, r *http.Request) {
	rows, err := s.db.QueryContext(r.Context(), "SELECT id FROM hotels WHERE city = $1", r.URL.Query().Get("city"))
	_, _ = rows, err
}

func (s *store) gin(c *gin.Context) {
	q := fmt.Sprintf("SELECT * FROM rooms WHERE name LIKE '%%%s%%'", c.Query("name"))
	var out []string
	if err := s.x.Select(&out, q); err != nil {
		c.AbortWithStatus(500)
	}
}

func (s *store) orderBy(c echo.Context) error {
	var out []string
	return s.gorm.Raw("SELECT name FROM rooms ORDER BY " + c.QueryParam("sort")).Scan(&out).Error
}

func (s *store) where(c echo.Context) error {
	var out []string
	return s.gorm.Where("owner = ?", c.QueryParam("owner")).Find(&out).Error
}

func (s *store) id(c *gin.Context) {
	id, err := strconv.Atoi(c.Param("id"))
	if err != nil {
		return
	}
	s.db.Exec(fmt.Sprintf("DELETE FROM rooms WHERE id = %d", id))
}

func lookup(w http.ResponseWriter, r *http.Request) {
	host := r.FormValue("host")
	out, _ := exec.Command("sh", "-c", "nslookup "+host).CombinedOutput()
	w.Write(out)
}

func lookupSafe(w http.ResponseWriter, r *http.Request) {
	out, _ := exec.Command("nslookup", "--", r.FormValue("host")).CombinedOutput()
	w.Header().Set("Content-Type", "text/plain")
	w.Write(out)
}

func tool(c *gin.Context) {
	cmd := exec.CommandContext(c, c.PostForm("tool"), "-v")
	_ = cmd.Run()
}

func shell(c *gin.Context) {
	script := fmt.Sprintf("cp %s /backup/", c.Query("file"))
	_ = exec.Command("/bin/bash", "-c", script).Run()
}

func photo(w http.ResponseWriter, r *http.Request) {
	http.ServeFile(w, r, filepath.Join("/srv/photos", r.URL.Query().Get("name")))
}

func photoSafe(w http.ResponseWriter, r *http.Request) {
	http.ServeFile(w, r, filepath.Join("/srv/photos", filepath.Base(r.URL.Query().Get("name"))))
}

func readDoc(c *gin.Context) {
	b, err := os.ReadFile("./docs/" + c.Param("doc"))
	if err == nil {
		c.Data(200, "text/plain", b)
	}
}

func save(c echo.Context) error {
	f, _ := c.FormFile("doc")
	src, _ := f.Open()
	dst, err := os.Create(path.Join("/srv/www/up", f.Filename))
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return err
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "<h1>Hello %s</h1>", r.URL.Query().Get("name"))
}

func helloSafe(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "<h1>Hello %s</h1>", template.HTMLEscapeString(r.URL.Query().Get("name")))
}

func trusted(c *gin.Context) {
	c.HTML(200, "page.tmpl", gin.H{"body": template.HTML(c.Query("body"))})
}

func echoHTML(c echo.Context) error {
	return c.HTML(http.StatusOK, "<p>"+c.QueryParam("msg")+"</p>")
}

func mail(c *gin.Context) {
	t, err := texttemplate.New("m").Parse(c.PostForm("tpl"))
	if err == nil {
		_ = t.Execute(c.Writer, c)
	}
}

func mailSafe(c *gin.Context) {
	t := template.Must(template.New("m").Parse("<p>{{.}}</p>"))
	_ = t.Execute(c.Writer, c.PostForm("name"))
}

func proxy(w http.ResponseWriter, r *http.Request) {
	resp, err := http.Get(r.URL.Query().Get("u"))
	if err == nil {
		io.Copy(w, resp.Body)
	}
}

func proxyReq(c *gin.Context) {
	target := "http://" + c.Query("host") + "/metrics"
	req, _ := http.NewRequest("GET", target, nil)
	_, _ = http.DefaultClient.Do(req)
}

func proxySafe(c *gin.Context) {
	resp, err := http.Get("https://maps.example.org/tiles")
	_, _ = resp, err
}

func out(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.FormValue("next"), http.StatusFound)
}

func outSafe(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/login", http.StatusFound)
}

func find(l *ldap.Conn, user string) (*ldap.SearchResult, error) {
	req := ldap.NewSearchRequest("dc=example,dc=org", ldap.ScopeWholeSubtree, 0, 0, 0, false,
		fmt.Sprintf("(uid=%s)", user), nil, nil)
	return l.Search(req)
}

func findSafe(l *ldap.Conn, user string) (*ldap.SearchResult, error) {
	req := ldap.NewSearchRequest("dc=example,dc=org", ldap.ScopeWholeSubtree, 0, 0, 0, false, "(uid="+ldap.EscapeFilter(user)+")", nil, nil)
	return l.Search(req)
}

func sums(b []byte) (string, string, string) {
	a := fmt.Sprintf("%x", md5.Sum(b))
	h := sha1.New()
	h.Write(b)
	c := fmt.Sprintf("%x", sha256.Sum256(b))
	return a, fmt.Sprintf("%x", h.Sum(nil)), c
}

func ciphers(key []byte) {
	_, _ = des.NewTripleDESCipher(key)
	_, _ = rc4.NewCipher(key)
}

func token() string {
	return strconv.FormatInt(mrand.Int63(), 36)
}

func tokenSafe() string {
	b := make([]byte, 16)
	rand.Read(b)
	return fmt.Sprintf("%x", b)
}

func client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

func clientSafe() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
}

func sshConfig() *ssh.ClientConfig {
	return &ssh.ClientConfig{User: "deploy", HostKeyCallback: ssh.InsecureIgnoreHostKey()}
}

func bind(c *gin.Context, s *store) {
	var u struct {
		Name    string
		IsAdmin bool
	}
	_ = c.BindJSON(&u)
	s.gorm.Save(&u)
}

func main() {
	gin.SetMode(gin.DebugMode)
	_ = gob.NewDecoder(strings.NewReader(""))
	_ = xml.NewDecoder(strings.NewReader(""))
}
