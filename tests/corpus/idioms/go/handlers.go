package main
import ("database/sql"; "fmt"; "net/http"; "os"; "os/exec"; "path/filepath"; "strconv"; "strings"; "html/template"; "encoding/json"; "io")
type store struct { db *sql.DB }
type req struct { Name string `json:"name"`; ID int `json:"id"` }
func (s *store) find(name string) (*sql.Rows, error) { return s.db.Query("SELECT * FROM t WHERE name = '" + name + "'") }
func (s *store) one(id int) (*sql.Rows, error) { return s.db.Query(fmt.Sprintf("SELECT * FROM t WHERE id = %d", id)) }
func (s *store) h(w http.ResponseWriter, r *http.Request) {
	rows, err := s.find(r.FormValue("n"))
	if err != nil { http.Error(w, err.Error(), 500); return }
	defer rows.Close()
}
func (s *store) h2(w http.ResponseWriter, r *http.Request) {
	var q req
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil { return }
	s.db.Exec("DELETE FROM t WHERE name = '" + q.Name + "'")
	s.db.Exec(fmt.Sprintf("DELETE FROM t WHERE id = %d", q.ID))
}
func mk(db *sql.DB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := r.URL.Query().Get("n")
		db.Query("SELECT * FROM t WHERE n = '" + n + "'")
	}
}
func h3(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.URL.Query().Get("id"))
	if err != nil { return }
	exec.Command("sh", "-c", "ls "+strconv.Itoa(id)).Run()
}
func h4(w http.ResponseWriter, r *http.Request) {
	p := filepath.Join("/data", filepath.Base(r.FormValue("f")))
	b, _ := os.ReadFile(p)
	w.Header().Set("Content-Type", "text/plain")
	w.Write(b)
}
func h5(w http.ResponseWriter, r *http.Request) {
	p := filepath.Join("/data", r.FormValue("f"))
	f, err := os.Open(p)
	if err != nil { return }
	io.Copy(w, f)
}
func h6(w http.ResponseWriter, r *http.Request) {
	p := filepath.Clean(filepath.Join("/data", r.FormValue("f")))
	if !strings.HasPrefix(p, "/data/") { return }
	f, err := os.Open(p)
	_, _ = f, err
}
func h7(w http.ResponseWriter, r *http.Request) {
	var sb strings.Builder
	sb.WriteString("SELECT * FROM t WHERE 1=1")
	for k, v := range r.URL.Query() { sb.WriteString(" AND " + k + " = '" + v[0] + "'") }
	s := &store{}
	s.db.Query(sb.String())
}
func h8(w http.ResponseWriter, r *http.Request) {
	allowed := map[string]bool{"a": true}
	c := r.FormValue("c")
	if !allowed[c] { return }
	exec.Command("sh", "-c", c).Run()
}
func h9(w http.ResponseWriter, r *http.Request) {
	switch c := r.FormValue("c"); c {
	case "a", "b":
		exec.Command("sh", "-c", c).Run()
	}
}
func h10(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "<h1>%s</h1>", template.HTMLEscapeString(r.FormValue("n"))) }
func h11(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "<h1>%s</h1>", r.FormValue("n")) }
func h12(w http.ResponseWriter, r *http.Request) {
	t, _ := template.New("x").Parse("<p>" + r.FormValue("n") + "</p>")
	t.Execute(w, nil)
}
func h13(w http.ResponseWriter, r *http.Request) {
	args := []string{"-c", "ls " + r.FormValue("d")}
	exec.Command("bash", args...).Run()
}
func h14(w http.ResponseWriter, r *http.Request) {
	go func(d string) { exec.Command("sh", "-c", "ls " + d).Run() }(r.FormValue("d"))
}
func h15(w http.ResponseWriter, r *http.Request) {
	ch := make(chan string, 1)
	ch <- r.FormValue("d")
	d := <-ch
	exec.Command("sh", "-c", "ls " + d).Run()
}
func h16(w http.ResponseWriter, r *http.Request) {
	cmds := map[string]string{"up": "uptime"}
	c, ok := cmds[r.FormValue("c")]
	if !ok { return }
	exec.Command("sh", "-c", c).Run()
}
func h17(w http.ResponseWriter, r *http.Request) {
	u := r.FormValue("u")
	resp, err := http.Get(u)
	_, _ = resp, err
}
