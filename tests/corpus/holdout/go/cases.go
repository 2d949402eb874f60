package cases

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/rc4"
	"crypto/sha1"
	"crypto/sha512"
	"crypto/tls"
	"database/sql"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math/big"
	mrand "math/rand"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	ttemplate "text/template"

	"github.com/gin-gonic/gin"
	"github.com/jmoiron/sqlx"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/md4"
	"gorm.io/gorm"
)

type account struct {
	Nick  string
	Admin bool
}

func case001(db *sql.DB, r *http.Request) {
	q := "DELETE FROM a WHERE b = '" + r.PostFormValue("b") + "'"
	db.Exec(q)
}

func case002(db *sql.DB, r *http.Request) {
	db.Exec("DELETE FROM a WHERE b = ?", r.PostFormValue("b"))
}

func case003(ctx context.Context, db *sql.DB, r *http.Request) {
	id := r.Header.Get("X-Id")
	row := db.QueryRowContext(ctx, fmt.Sprintf("SELECT a FROM b WHERE c = %s", id))
	_ = row
}

func case004(ctx context.Context, db *sql.DB, r *http.Request) {
	id, err := strconv.Atoi(r.Header.Get("X-Id"))
	if err != nil {
		return
	}
	row := db.QueryRowContext(ctx, fmt.Sprintf("SELECT a FROM b WHERE c = %d", id))
	_ = row
}

func case005(c *gin.Context, db *gorm.DB) {
	var found []account
	db.Where("nick = '" + c.Query("nick") + "'").Find(&found)
	c.JSON(200, found)
}

func case006(c *gin.Context, db *gorm.DB) {
	var found []account
	db.Where("nick = ?", c.Query("nick")).Find(&found)
	c.JSON(200, found)
}

func case007(c *gin.Context, db *gorm.DB) {
	var found []account
	db.Raw("SELECT * FROM accounts ORDER BY " + c.Param("by")).Scan(&found)
	c.JSON(200, found)
}

func case008(db *sqlx.DB, r *http.Request) {
	var b strings.Builder
	b.WriteString("SELECT * FROM a WHERE b = '")
	b.WriteString(r.FormValue("b"))
	b.WriteString("'")
	db.Queryx(b.String())
}

func case009(db *sqlx.DB) {
	q := "SELECT * FROM a"
	q += " WHERE b = 1"
	db.Queryx(q)
}

func case010(r *http.Request) {
	cmd := exec.Command("bash", "-c", r.URL.Query().Get("c"))
	cmd.Run()
}

func case011(r *http.Request) {
	cmd := exec.Command("cat", "--", r.URL.Query().Get("f"))
	cmd.Run()
}

func case012(ctx context.Context, r *http.Request) {
	line := fmt.Sprintf("ping -c1 %s", r.FormValue("host"))
	exec.CommandContext(ctx, "/bin/sh", "-c", line).Run()
}

func case013(ctx context.Context) {
	exec.CommandContext(ctx, "/bin/sh", "-c", "df -h | tail -1").Run()
}

func case014(r *http.Request) {
	name := r.FormValue("program")
	exec.Command(name).Start()
}

func case015(w http.ResponseWriter, r *http.Request) {
	f, _ := os.Open(filepath.Join("/data", r.URL.Query().Get("f")))
	io.Copy(w, f)
}

func case016(w http.ResponseWriter, r *http.Request) {
	p := filepath.Join("/data", r.URL.Query().Get("f"))
	if !strings.HasPrefix(p, "/data/") {
		return
	}
	f, _ := os.Open(p)
	io.Copy(w, f)
}

func case017(w http.ResponseWriter, r *http.Request) {
	http.ServeFile(w, r, "/data/"+r.URL.Query().Get("f"))
}

func case018(w http.ResponseWriter, r *http.Request) {
	http.ServeFile(w, r, "/data/index.html")
}

func case019(c *gin.Context) {
	file, _ := c.FormFile("f")
	c.SaveUploadedFile(file, "/srv/up/"+file.Filename)
}

func case020(c *gin.Context) {
	file, _ := c.FormFile("f")
	if path.Ext(file.Filename) != ".png" {
		return
	}
	c.SaveUploadedFile(file, "/srv/up/picture.png")
}

func case021(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	w.Write([]byte("<p>" + r.FormValue("p") + "</p>"))
}

func case022(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	w.Write([]byte("<p>" + template.HTMLEscapeString(r.FormValue("p")) + "</p>"))
}

func case023(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "<p>"+r.URL.Path+"</p>")
}

func case024(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "<p>fine</p>")
}

func case025(w http.ResponseWriter, r *http.Request) {
	t, _ := ttemplate.New("x").Parse(r.FormValue("t"))
	t.Execute(w, nil)
}

func case026(w http.ResponseWriter, r *http.Request) {
	t, _ := template.New("x").Parse("<p>{{.}}</p>")
	t.Execute(w, r.FormValue("t"))
}

func case027(c *gin.Context) {
	c.Redirect(302, c.Query("to"))
}

func case028(c *gin.Context) {
	c.Redirect(302, "/login")
}

func case029(c *gin.Context) {
	req, _ := http.NewRequest("GET", c.Query("u"), nil)
	http.DefaultClient.Do(req)
}

func case030(c *gin.Context) {
	req, _ := http.NewRequest("GET", "https://api.internal.test", nil)
	http.DefaultClient.Do(req)
}

func case031(r *http.Request) {
	u := "http://" + r.FormValue("host") + "/health"
	http.Post(u, "text/plain", nil)
}

func case032(c *gin.Context, db *gorm.DB) {
	var a account
	c.BindJSON(&a)
	db.Save(&a)
}

func case033(c *gin.Context, db *gorm.DB) {
	var in struct{ Nick string }
	c.BindJSON(&in)
	db.Save(&account{Nick: in.Nick})
}

func case034(data []byte) []byte {
	h := sha1.New()
	h.Write(data)
	return h.Sum(nil)
}

func case035(data []byte) []byte {
	h := sha512.New()
	h.Write(data)
	return h.Sum(nil)
}

func case036(data []byte) []byte {
	h := md4.New()
	return h.Sum(data)
}

func case037(key, data []byte) []byte {
	return hmac.New(sha512.New, key).Sum(data)
}

func case038(pw []byte) ([]byte, error) {
	return bcrypt.GenerateFromPassword(pw, 12)
}

func case039(key []byte) (*rc4.Cipher, error) {
	return rc4.NewCipher(key)
}

func case040(key []byte) (cipher.Block, error) {
	return des.NewTripleDESCipher(key)
}

func case041() string {
	token := strconv.Itoa(mrand.Intn(1000000))
	return token
}

func case042() string {
	n, _ := crand.Int(crand.Reader, big.NewInt(1000000))
	return n.String()
}

func case043(items []string) string {
	return items[mrand.Intn(len(items))]
}

func case044() *tls.Config {
	conf := &tls.Config{}
	conf.InsecureSkipVerify = true
	return conf
}

func case045() *tls.Config {
	return &tls.Config{InsecureSkipVerify: false, ServerName: "a.test"}
}

func case046() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionSSL30}
}

func case047(r *http.Request) any {
	var v map[string]string
	json.NewDecoder(r.Body).Decode(&v)
	return v
}

func case048(data []byte) any {
	var v account
	gob.NewDecoder(bytes.NewReader(data)).Decode(&v)
	return v
}

const apiToken = "q8Zr-41xW-99Lm-TTv2"

var mailPassword = os.Getenv("MAIL_PASSWORD")

func case051(db *sql.DB, r *http.Request) {
	/* db.Query("SELECT a FROM b WHERE c = '" + r.FormValue("c") + "'")
	 */
	msg := `db.Query("SELECT a FROM b WHERE c = '" + r.FormValue("c") + "'")`
	fmt.Println(msg)
}

func statement(what string) string {
	return "SELECT a FROM b WHERE c = '" + what + "'"
}

func case052(db *sql.DB, r *http.Request) {
	s := statement(r.FormValue("c"))
	rows, _ := db.Query(s)
	rows.Close()
}

func case053(db *sql.DB, r *http.Request) {
	s := r.FormValue("c")
	s = "SELECT 1"
	rows, _ := db.Query(s)
	rows.Close()
}

func case054(c *gin.Context) {
	gin.SetMode(gin.DebugMode)
}

func case055(c *gin.Context) {
	gin.SetMode(gin.ReleaseMode)
}
