// Command tracking answers where a parcel is.
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/md5"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	"encoding/hex"
	"fmt"
	"html"
	"html/template"
	"io"
	"log"
	"math/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/go-ldap/ldap/v3"
	_ "github.com/lib/pq"
)

var db *sql.DB

var depots = map[string]string{
	"north": "https://north.depot.test/status",
	"south": "https://south.depot.test/status",
}

func findParcel(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("code")
	rows, err := db.Query("SELECT place, seen FROM scans WHERE code = '" + code + "'")
	reply(w, rows, err)
}

func findParcelStrict(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("code")
	rows, err := db.Query("SELECT place, seen FROM scans WHERE code = $1", code)
	reply(w, rows, err)
}

func findDepot(w http.ResponseWriter, r *http.Request) {
	query := fmt.Sprintf("SELECT place, seen FROM scans WHERE depot = '%s'", r.FormValue("depot"))
	rows, err := db.Query(query)
	reply(w, rows, err)
}

func countScans(w http.ResponseWriter, r *http.Request) {
	const query = "SELECT place, seen FROM scans " + "WHERE seen > now() - interval '1 day'"
	rows, err := db.Query(query)
	reply(w, rows, err)
}

func printLabel(w http.ResponseWriter, r *http.Request) {
	out, err := exec.Command("sh", "-c", "lpr -P "+r.FormValue("printer")+" label.ps").Output()
	answer(w, out, err)
}

func printerStatus(w http.ResponseWriter, r *http.Request) {
	out, err := exec.Command("lpstat", "-r").Output()
	answer(w, out, err)
}

func proofOfDelivery(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	data, err := os.ReadFile("/srv/tracking/proofs/" + name)
	answer(w, data, err)
}

func proofStrict(w http.ResponseWriter, r *http.Request) {
	name := filepath.Base(r.URL.Query().Get("name"))
	data, err := os.ReadFile(filepath.Join("/srv/tracking/proofs", name))
	answer(w, data, err)
}

func depotStatus(w http.ResponseWriter, r *http.Request) {
	resp, err := http.Get(r.FormValue("url"))
	forward(w, resp, err)
}

func northStatus(w http.ResponseWriter, r *http.Request) {
	resp, err := http.Get(depots["north"])
	forward(w, resp, err)
}

func banner(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(w, "<h1>Parcel %s</h1>", r.FormValue("code"))
}

func bannerStrict(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(w, "<h1>Parcel %s</h1>", html.EscapeString(r.FormValue("code")))
}

func note(w http.ResponseWriter, r *http.Request) {
	page := template.Must(template.New("note").Parse("<p>{{.}}</p>"))
	page.Execute(w, template.HTML(r.FormValue("note")))
}

func noteStrict(w http.ResponseWriter, r *http.Request) {
	page := template.Must(template.New("note").Parse("<p>{{.}}</p>"))
	page.Execute(w, r.FormValue("note"))
}

func leave(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
}

func home(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/parcels", http.StatusFound)
}

func driver(conn *ldap.Conn, w http.ResponseWriter, r *http.Request) {
	filter := fmt.Sprintf("(uid=%s)", r.FormValue("uid"))
	search := ldap.NewSearchRequest("ou=drivers", ldap.ScopeWholeSubtree, 0, 10, 5, false, filter, nil, nil)
	_, err := conn.Search(search)
	answer(w, nil, err)
}

func driverStrict(conn *ldap.Conn, w http.ResponseWriter, r *http.Request) {
	filter := fmt.Sprintf("(uid=%s)", ldap.EscapeFilter(r.FormValue("uid")))
	search := ldap.NewSearchRequest("ou=drivers", ldap.ScopeWholeSubtree, 0, 10, 5, false, filter, nil, nil)
	_, err := conn.Search(search)
	answer(w, nil, err)
}

func partnerClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
}

func depotClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}}
}

func pinDigest(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:4])
}

func pinDigestStrict(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func pickupToken() string {
	return fmt.Sprintf("%08x", rand.Int63())
}

func doorToken() (string, error) {
	b := make([]byte, 16)
	_, err := crand.Read(b)
	return hex.EncodeToString(b), err
}

func legacySeal(key []byte) (cipher.Block, error) {
	return des.NewCipher(key)
}

func seal(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func reply(w http.ResponseWriter, rows *sql.Rows, err error) {
	if err != nil {
		http.Error(w, "no answer", http.StatusInternalServerError)
		return
	}
	defer rows.Close()
	w.WriteHeader(http.StatusNoContent)
}

func answer(w http.ResponseWriter, data []byte, err error) {
	if err != nil {
		http.Error(w, "no answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	io.Copy(w, bytes.NewReader(data))
}

func forward(w http.ResponseWriter, resp *http.Response, err error) {
	if err != nil {
		http.Error(w, "no answer", http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	w.WriteHeader(resp.StatusCode)
}

func main() {
	var err error
	db, err = sql.Open("postgres", os.Getenv("TRACKING_DB"))
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/parcel", findParcel)
	http.HandleFunc("/parcel/strict", findParcelStrict)
	http.HandleFunc("/depot", findDepot)
	http.HandleFunc("/leave", leave)
	log.Fatal(http.ListenAndServe(":8085", nil))
}
