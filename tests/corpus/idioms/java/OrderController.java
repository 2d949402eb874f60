import java.sql.*; import java.util.*; import java.util.stream.*; import javax.servlet.http.*; import org.springframework.web.bind.annotation.*; import org.springframework.jdbc.core.JdbcTemplate;
@RestController
class OrderController {
    private final JdbcTemplate jdbc; private final EntityManager em;
    private static final Set<String> SORTS = Set.of("name", "date");
    private static final Map<String, String> COLS = Map.of("n", "name");
    private String last;
    @GetMapping("/a") public List<?> a(@RequestParam String n) { return jdbc.queryForList("SELECT * FROM t WHERE n = '" + n + "'"); }
    @GetMapping("/b") public List<?> b(@RequestParam String n) { return jdbc.queryForList("SELECT * FROM t WHERE n = ?", n); }
    @GetMapping("/c") public List<?> c(@RequestParam int id) { return jdbc.queryForList("SELECT * FROM t WHERE id = " + id); }
    @GetMapping("/d") public List<?> d(@RequestParam String s) {
        String sort = SORTS.contains(s) ? s : "name";
        return jdbc.queryForList("SELECT * FROM t ORDER BY " + sort);
    }
    @GetMapping("/e") public List<?> e(@RequestParam String s) {
        return em.createQuery("FROM T t WHERE t.n = '" + s + "'").getResultList();
    }
    @GetMapping("/f") public List<?> f(@RequestParam List<String> ids) {
        String in = ids.stream().map(i -> "'" + i + "'").collect(Collectors.joining(","));
        return jdbc.queryForList("SELECT * FROM t WHERE id IN (" + in + ")");
    }
    @GetMapping("/g") public List<?> g(@RequestParam List<String> ids) {
        String ph = ids.stream().map(i -> "?").collect(Collectors.joining(","));
        return jdbc.queryForList("SELECT * FROM t WHERE id IN (" + ph + ")", ids.toArray());
    }
    @GetMapping("/h") public List<?> h(@RequestParam List<Long> ids) {
        String in = ids.stream().map(String::valueOf).collect(Collectors.joining(","));
        return jdbc.queryForList("SELECT * FROM t WHERE id IN (" + in + ")");
    }
    @GetMapping("/i") public List<?> i(@RequestParam Optional<String> q) {
        return jdbc.queryForList("SELECT * FROM t WHERE q = '" + q.orElse("x") + "'");
    }
    @GetMapping("/j") public List<?> j(@RequestParam String c) {
        String col = COLS.get(c);
        if (col == null) throw new IllegalArgumentException();
        return jdbc.queryForList("SELECT " + col + " FROM t");
    }
    @PostMapping("/k") public List<?> k(@RequestBody Map<String, String> body) {
        return jdbc.queryForList("SELECT * FROM t WHERE q = '" + body.get("q") + "'");
    }
    record Search(String q, int page) {}
    @PostMapping("/l") public List<?> l(@RequestBody Search s) {
        return jdbc.queryForList("SELECT * FROM t WHERE q = '" + s.q() + "'");
    }
    @GetMapping("/m") public void m(@RequestParam String f, HttpServletResponse r) throws Exception {
        java.nio.file.Path p = java.nio.file.Paths.get("/data").resolve(f).normalize();
        if (!p.startsWith("/data")) throw new SecurityException();
        java.nio.file.Files.copy(p, r.getOutputStream());
    }
    @GetMapping("/n") public void n(@RequestParam String f, HttpServletResponse r) throws Exception {
        java.nio.file.Files.copy(java.nio.file.Paths.get("/data", f), r.getOutputStream());
    }
    @GetMapping("/o") public void o(@RequestParam String d) throws Exception {
        List<String> cmd = new ArrayList<>(List.of("sh", "-c")); cmd.add("ls " + d);
        new ProcessBuilder(cmd).start();
    }
    @GetMapping("/p") public void p(@RequestParam String d) throws Exception {
        new ProcessBuilder(List.of("ls", "--", d)).start();
    }
    @GetMapping("/q") public String q(@RequestParam String n) { return "<b>" + n + "</b>"; }
    @GetMapping("/r") public String r(@RequestParam String n) { return "<b>" + HtmlUtils.htmlEscape(n) + "</b>"; }
    @GetMapping("/s") public Object s(@RequestParam String e) { return new SpelExpressionParser().parseExpression(e).getValue(); }
    enum Kind { A, B }
    @GetMapping("/t") public List<?> t(@RequestParam String k) {
        Kind kind = Kind.valueOf(k);
        return jdbc.queryForList("SELECT * FROM t WHERE k = '" + kind + "'");
    }
    @GetMapping("/u") public List<?> u(@RequestParam String k) {
        StringBuilder sb = new StringBuilder("SELECT * FROM t WHERE 1=1");
        if (k != null) { sb.append(" AND k = '").append(k).append("'"); }
        return jdbc.queryForList(sb.toString());
    }
    @GetMapping("/v") public List<?> v(@RequestParam String k) {
        StringBuilder sb = new StringBuilder("SELECT * FROM t WHERE 1=1"); List<Object> a = new ArrayList<>();
        if (k != null) { sb.append(" AND k = ?"); a.add(k); }
        return jdbc.queryForList(sb.toString(), a.toArray());
    }
    @PostMapping("/w") public Object w(HttpServletRequest req) throws Exception {
        try (var in = new java.io.ObjectInputStream(req.getInputStream())) { return in.readObject(); }
    }
    @GetMapping("/x") public void x(@RequestParam String to, HttpServletResponse r) throws Exception { r.sendRedirect(to); }
    @GetMapping("/y") public void y(@RequestParam String to, HttpServletResponse r) throws Exception {
        if (!to.matches("^/[a-z]+$")) to = "/";
        r.sendRedirect(to);
    }
    void set(String s) { this.last = s; }
    @GetMapping("/z") public List<?> z(@RequestParam String s) { set(s); return jdbc.queryForList("SELECT * FROM t WHERE s = '" + last + "'"); }
    @PostMapping("/za") public void za(@RequestParam MultipartFile f) throws Exception { f.transferTo(new java.io.File("/up/" + f.getOriginalFilename())); }
    @PostMapping("/zb") public void zb(@RequestParam MultipartFile f) throws Exception { f.transferTo(new java.io.File("/up/" + UUID.randomUUID())); }
    private String sql(String s) { return "SELECT * FROM t WHERE s = '" + s + "'"; }
    @GetMapping("/zc") public List<?> zc(@RequestParam String s) { return jdbc.queryForList(sql(s)); }
    @GetMapping("/zd") public List<?> zd(@RequestParam String s) {
        return switch (s) { case "a" -> jdbc.queryForList("SELECT * FROM a"); default -> jdbc.queryForList("SELECT * FROM b"); };
    }
}
