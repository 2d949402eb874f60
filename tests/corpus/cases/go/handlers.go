package shop

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/md5"
	"crypto/rand"
	"crypto/rc4"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	htmltemplate "html/template"
	"io"
	"log"
	mrand "math/rand"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"github.com/golang-jwt/jwt/v5"
	"github.com/go-ldap/ldap/v3"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/bcrypt"
)

const dsn = "postgres://app:s3cr3tPw9@db:5432/shop"

var orders = map[string]string{"new": "created_at DESC", "old": "created_at ASC"}
var nameRE = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

type server struct {
	db   *sql.DB
	root string
	last string
}

type filter struct {
	Name  string `json:"name"`
	Limit int    `json:"limit"`
}

func param(r *http.Request, key, def string) string {
	if v := r.URL.Query().Get(key); v != "" {
		return v
	}
	return def
}

func quoteName(s string) string {
	return "'" + s + "'"
}

func (s *server) query(where string) (*sql.Rows, error) {
	return s.db.Query("SELECT id FROM items WHERE " + where)
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	name := param(r, "name", "x")
	rows, err := s.query("name = " + quoteName(name))
	if err != nil {
		http.Error(w, "failed", 500)
		return
	}
	defer rows.Close()
	order, ok := orders[r.FormValue("order")]
	if !ok {
		order = "id"
	}
	s.db.Query("SELECT id FROM items ORDER BY " + order)
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil {
		return
	}
	s.db.Query(fmt.Sprintf("SELECT id FROM items LIMIT %d", n))
	var sb strings.Builder
	sb.WriteString("SELECT id FROM items WHERE 1=1")
	for k, v := range r.URL.Query() {
		fmt.Fprintf(&sb, " AND %s = '%s'", k, v[0])
	}
	s.db.QueryContext(r.Context(), sb.String())
}

func (s *server) search(w http.ResponseWriter, r *http.Request) {
	var f filter
	if err := json.NewDecoder(r.Body).Decode(&f); err != nil {
		return
	}
	s.db.Exec("DELETE FROM items WHERE name = '" + f.Name + "'")
	s.db.Exec(fmt.Sprintf("DELETE FROM items WHERE id IN (SELECT id LIMIT %d)", f.Limit))
	ids := r.Form["id"]
	marks := strings.Repeat("?,", len(ids))
	s.db.Query("SELECT * FROM items WHERE id IN (" + strings.TrimSuffix(marks, ",") + ")")
	s.db.Query("SELECT * FROM items WHERE id IN (" + strings.Join(ids, ",") + ")")
}

func (s *server) remember(r *http.Request) { s.last = r.Header.Get("X-Last") }

func (s *server) field(w http.ResponseWriter, r *http.Request) {
	s.remember(r)
	s.db.Exec("UPDATE seen SET name = '" + s.last + "'")
	s.db.Exec("UPDATE seen SET name = $1", s.last)
}

func run(w http.ResponseWriter, r *http.Request) {
	host := r.URL.Query().Get("host")
	out, _ := exec.Command("sh", "-c", "ping -c 1 "+host).Output()
	if !nameRE.MatchString(host) {
		http.Error(w, "bad", 400)
		return
	}
	exec.Command("sh", "-c", "ping -c 1 "+host).Run()
	w.Write(out)
}

func run2(w http.ResponseWriter, r *http.Request) {
	args := []string{"-c", fmt.Sprintf("convert %s out.png", r.FormValue("f"))}
	exec.CommandContext(context.Background(), "bash", args...).Run()
	exec.Command("convert", r.FormValue("f"), "out.png").Run()
	var tool string
	switch r.FormValue("t") {
	case "a":
		tool = "/bin/a"
	default:
		tool = "/bin/b"
	}
	exec.Command(tool).Run()
}

func (s *server) file(w http.ResponseWriter, r *http.Request) {
	p := filepath.Join(s.root, r.URL.Query().Get("f"))
	b, _ := os.ReadFile(p)
	w.Write(b)
}

func (s *server) file2(w http.ResponseWriter, r *http.Request) {
	p := filepath.Clean(filepath.Join(s.root, r.URL.Query().Get("f")))
	if !strings.HasPrefix(p, s.root+string(os.PathSeparator)) {
		http.NotFound(w, r)
		return
	}
	http.ServeFile(w, r, p)
}

func (s *server) file3(w http.ResponseWriter, r *http.Request) {
	f, err := os.Open("/srv/data/" + filepath.Base(r.FormValue("f")))
	if err != nil {
		return
	}
	io.Copy(w, f)
	g, _ := os.Create("/srv/data/" + r.FormValue("out"))
	g.Close()
}

func hello(w http.ResponseWriter, r *http.Request) {
	n := r.FormValue("n")
	fmt.Fprintf(w, "<h1>%s</h1>", n)
	fmt.Fprintf(w, "<h1>%s</h1>", html.EscapeString(n))
	io.WriteString(w, "<b>"+n+"</b>")
	t := htmltemplate.Must(htmltemplate.New("x").Parse("<p>{{.}}</p>"))
	t.Execute(w, n)
	t.Execute(w, htmltemplate.HTML(n))
	u := template.Must(template.New("x").Parse("<p>{{.}}</p>"))
	u.Execute(w, n)
	json.NewEncoder(w).Encode(map[string]string{"n": n})
}

func tpl(w http.ResponseWriter, r *http.Request) {
	t, _ := htmltemplate.New("x").Parse("<p>" + r.FormValue("t") + "</p>")
	t.Execute(w, nil)
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
}

func redirect2(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("to")
	u, err := url.Parse(to)
	if err != nil || u.Host != "" {
		to = "/"
	}
	http.Redirect(w, r, to, http.StatusFound)
}

func redirect3(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", r.FormValue("to"))
	w.WriteHeader(302)
	w.Header().Set("X-N", r.FormValue("n"))
}

func fetch(w http.ResponseWriter, r *http.Request) {
	resp, err := http.Get(r.FormValue("url"))
	if err != nil {
		return
	}
	io.Copy(w, resp.Body)
	resp, _ = http.Get("https://api.example/items/" + url.PathEscape(r.FormValue("id")))
	client := &http.Client{}
	req, _ := http.NewRequest("POST", fmt.Sprintf("http://%s/hook", r.FormValue("h")), nil)
	client.Do(req)
	u, _ := url.Parse(r.FormValue("url"))
	if u.Hostname() != "api.example" {
		return
	}
	http.Get(u.String())
}

func people(l *ldap.Conn, r *http.Request) {
	uid := r.FormValue("uid")
	l.Search(ldap.NewSearchRequest("dc=x", 2, 0, 0, 0, false, "(uid="+uid+")", nil, nil))
	l.Search(ldap.NewSearchRequest("dc=x", 2, 0, 0, 0, false, "(uid="+ldap.EscapeFilter(uid)+")", nil, nil))
}

func digests(pw string, data []byte) {
	a := md5.Sum([]byte(pw))
	b := sha256.Sum256(data)
	h := sha1.New()
	h.Write([]byte(pw))
	c, _ := bcrypt.GenerateFromPassword([]byte(pw), 12)
	fmt.Println(a, b, c)
}

func ciphers(key []byte) {
	a, _ := des.NewTripleDESCipher(key)
	b, _ := rc4.NewCipher(key)
	c, _ := aes.NewCipher(key)
	g, _ := cipher.NewGCM(c)
	iv := make([]byte, 16)
	s := cipher.NewCBCEncrypter(c, iv)
	iv2 := make([]byte, 16)
	rand.Read(iv2)
	t := cipher.NewCBCEncrypter(c, iv2)
	k, _ := rsa.GenerateKey(rand.Reader, 1024)
	k2, _ := rsa.GenerateKey(rand.Reader, 4096)
	fmt.Println(a, b, g, s, t, k, k2)
}

func newToken() string {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(mrand.Intn(256))
	}
	return fmt.Sprintf("%x", b)
}

func newToken2() string {
	b := make([]byte, 16)
	rand.Read(b)
	return fmt.Sprintf("%x", b)
}

func backoff() int {
	return mrand.Intn(100)
}

func clients() {
	t := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	u := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	cfg := &tls.Config{}
	cfg.InsecureSkipVerify = true
	c := &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()}
	fmt.Println(t, u, c)
}

func cookies(w http.ResponseWriter, id string) {
	http.SetCookie(w, &http.Cookie{Name: "session", Value: id})
	http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Origin", "https://a.example")
}

func claims(s string, key []byte) {
	p := jwt.NewParser()
	p.ParseUnverified(s, jwt.MapClaims{})
	jwt.Parse(s, func(t *jwt.Token) (interface{}, error) { return key, nil }, jwt.WithValidMethods([]string{"HS256"}))
	jwt.New(jwt.SigningMethodHS256).SignedString([]byte("hard-c0ded-k3y"))
	jwt.New(jwt.SigningMethodHS256).SignedString([]byte(os.Getenv("KEY")))
}

func unzip(r *zip.Reader, dir string) {
	for _, f := range r.File {
		dst := filepath.Join(dir, f.Name)
		out, _ := os.Create(dst)
		out.Close()
	}
	for _, f := range r.File {
		dst := filepath.Join(dir, f.Name)
		if !strings.HasPrefix(dst, filepath.Clean(dir)+string(os.PathSeparator)) {
			continue
		}
		out, _ := os.Create(dst)
		out.Close()
	}
}

func perms(p string, r *http.Request) {
	os.Chmod(p, 0777)
	os.Chmod(p, 0600)
	os.MkdirAll(p, 0777)
	os.WriteFile("/tmp/shop.pid", nil, 0600)
	f, _ := os.CreateTemp("", "shop-*")
	log.Printf("user %s", r.FormValue("u"))
	log.Printf("user %q", r.FormValue("u"))
	fmt.Println(f)
}

func upload(w http.ResponseWriter, r *http.Request) {
	f, h, _ := r.FormFile("f")
	out, _ := os.Create(filepath.Join("/srv/www", h.Filename))
	io.Copy(out, f)
	var buf bytes.Buffer
	gob.NewDecoder(&buf).Decode(&h)
	xml.NewDecoder(&buf).Decode(&h)
}
