package web

import (
	"bufio"
	"context"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha512"
	"crypto/tls"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	mathrand "math/rand"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/gofiber/fiber/v2"
	"github.com/golang-jwt/jwt/v4"
	"github.com/jackc/pgx/v5"
)

type store struct{ db *sql.DB }

type listReq struct {
	Owner string
	Size  int
}

var word = regexp.MustCompile(`^\w+$`)

func (s *store) byOwner(ctx context.Context, owner string) (*sql.Rows, error) {
	q := "SELECT * FROM docs WHERE owner = '" + owner + "'"
	return s.db.QueryContext(ctx, q)
}

func (s *store) byOwnerOK(ctx context.Context, owner string) (*sql.Rows, error) {
	return s.db.QueryContext(ctx, "SELECT * FROM docs WHERE owner = $1", owner)
}

func (s *store) handle(w http.ResponseWriter, r *http.Request) {
	s.byOwner(r.Context(), chi.URLParam(r, "owner"))
	s.byOwnerOK(r.Context(), chi.URLParam(r, "owner"))
}

func (s *store) deleteMany(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	var parts []string
	for _, id := range r.PostForm["id"] {
		parts = append(parts, "'"+id+"'")
	}
	s.db.Exec("DELETE FROM docs WHERE id IN (" + strings.Join(parts, ",") + ")")
}

func (s *store) deleteManyOK(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	var parts []string
	for _, id := range r.PostForm["id"] {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			http.Error(w, "id", 400)
			return
		}
		parts = append(parts, strconv.FormatInt(n, 10))
	}
	s.db.Exec("DELETE FROM docs WHERE id IN (" + strings.Join(parts, ",") + ")")
}

func (s *store) table(w http.ResponseWriter, r *http.Request) {
	t := r.URL.Query().Get("table")
	if !word.MatchString(t) {
		http.Error(w, "table", 400)
		return
	}
	s.db.Query("SELECT count(*) FROM " + t)
}

func pgxRaw(ctx context.Context, c *pgx.Conn, r *http.Request) {
	c.Exec(ctx, fmt.Sprintf("UPDATE t SET a = '%s'", r.Header.Get("X-A")))
}

func fiberApp() {
	app := fiber.New()
	app.Get("/x", func(c *fiber.Ctx) error {
		out, err := exec.Command("bash", "-c", "echo "+c.Query("v")).Output()
		if err != nil {
			return err
		}
		return c.Send(out)
	})
	app.Get("/y", func(c *fiber.Ctx) error {
		return c.SendFile("./files/" + c.Params("name"))
	})
	app.Get("/z", func(c *fiber.Ctx) error {
		return c.Redirect(c.Query("to"))
	})
	app.Get("/w", func(c *fiber.Ctx) error {
		c.Set("Content-Type", "text/html")
		return c.SendString("<p>" + c.Query("m") + "</p>")
	})
	app.Get("/v", func(c *fiber.Ctx) error {
		return c.JSON(fiber.Map{"m": c.Query("m")})
	})
}

func grep(w http.ResponseWriter, r *http.Request) {
	cmd := exec.CommandContext(r.Context(), "grep", "-r", "--", r.FormValue("p"), "/srv")
	cmd.Stdout = w
	cmd.Run()
}

func stdinShell() {
	sc := bufio.NewScanner(os.Stdin)
	for sc.Scan() {
		exec.Command("sh", "-c", sc.Text()).Run()
	}
}

func logo(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	http.ServeFile(w, r, filepath.Join("static", name))
}

var errOutside = errors.New("outside")

func inside(root, name string) (string, error) {
	p, err := filepath.Abs(filepath.Join(root, name))
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(p, root+"/") {
		return "", errOutside
	}
	return p, nil
}

func logoOK(w http.ResponseWriter, r *http.Request) {
	p, err := inside("/srv/static", r.URL.Query().Get("name"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	http.ServeFile(w, r, p)
}

func writeNote(w http.ResponseWriter, r *http.Request) {
	var in struct{ Name, Text string }
	json.NewDecoder(r.Body).Decode(&in)
	os.WriteFile("notes/"+in.Name, []byte(in.Text), 0o600)
}

func view(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	w.Header().Set("Content-Type", "text/html")
	w.Write([]byte("<i>" + q + "</i>"))
}

func viewOK(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	w.Write([]byte("<i>" + template.HTMLEscapeString(q) + "</i>"))
}

func next(w http.ResponseWriter, r *http.Request) {
	to := r.FormValue("next")
	if to == "" {
		to = "/"
	}
	http.Redirect(w, r, to, 302)
}

func nextOK(w http.ResponseWriter, r *http.Request) {
	to := r.FormValue("next")
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") {
		to = "/"
	}
	http.Redirect(w, r, to, 302)
}

func proxy(w http.ResponseWriter, r *http.Request) {
	target := "http://" + r.URL.Query().Get("svc") + ".internal/"
	resp, err := http.Get(target)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	io.Copy(w, resp.Body)
}

func proxyOK(w http.ResponseWriter, r *http.Request) {
	svc := map[string]string{"a": "http://a.internal/", "b": "http://b.internal/"}
	target, ok := svc[r.URL.Query().Get("svc")]
	if !ok {
		return
	}
	resp, err := http.Get(target)
	if err == nil {
		resp.Body.Close()
	}
}

func proxyURL(w http.ResponseWriter, r *http.Request) {
	u, err := url.Parse(r.FormValue("u"))
	if err != nil {
		return
	}
	req := &http.Request{Method: "GET", URL: u}
	http.DefaultClient.Do(req)
}

func sumPassword(pw string) string {
	h := md5.Sum([]byte(pw))
	return hex.EncodeToString(h[:])
}

func sign(key, msg []byte) []byte {
	m := hmac.New(sha1.New, key)
	m.Write(msg)
	return m.Sum(nil)
}

func signOK(key, msg []byte) []byte {
	m := hmac.New(sha512.New, key)
	m.Write(msg)
	return m.Sum(nil)
}

func block(key []byte) (cipher.Block, error) {
	return des.NewCipher(key)
}

func otp() int {
	mathrand.Seed(time.Now().UnixNano())
	return mathrand.Intn(1000000)
}

func otpOK() string {
	b := make([]byte, 4)
	if _, err := rand.Read(b); err != nil {
		panic(err)
	}
	return hex.EncodeToString(b)
}

func jitter() time.Duration {
	return time.Duration(mathrand.Intn(50)) * time.Millisecond
}

func client() *http.Client {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true,
	}
	return &http.Client{Transport: tr}
}

func clientOK() *http.Client {
	return &http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13}}}
}

const apiToken = "gh7-Kd93-mmQ2-zz81"
const apiTokenHeader = "X-Api-Token"

func parse(raw string) (*jwt.Token, error) {
	t, _, err := new(jwt.Parser).ParseUnverified(raw, jwt.MapClaims{})
	return t, err
}

func parseOK(raw string, key []byte) (*jwt.Token, error) {
	return jwt.Parse(raw, func(t *jwt.Token) (interface{}, error) {
		if _, ok := t.Method.(*jwt.SigningMethodHMAC); !ok {
			return nil, errors.New("method")
		}
		return key, nil
	})
}

func cookie(w http.ResponseWriter, v string) {
	c := &http.Cookie{Name: "auth", Value: v, HttpOnly: true, Secure: false}
	http.SetCookie(w, c)
}

func audit(r *http.Request) {
	slog.Info("login " + r.FormValue("user"))
}

func auditOK(r *http.Request) {
	slog.Info("login", "n", len(r.FormValue("user")))
}

func lock() {
	os.OpenFile("/tmp/web.lock", os.O_CREATE|os.O_RDWR, 0o644)
}

func lockOK() {
	os.MkdirTemp("", "web")
}
