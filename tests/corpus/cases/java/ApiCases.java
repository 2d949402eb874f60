package io.example.api;

import java.io.*;
import java.net.*;
import java.net.http.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.util.*;
import javax.crypto.*;
import javax.crypto.spec.*;
import javax.persistence.*;
import javax.ws.rs.*;
import javax.ws.rs.core.*;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.commons.io.FileUtils;
import org.apache.commons.io.FilenameUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.expression.ExpressionParser;
import org.springframework.expression.spel.standard.SpelExpressionParser;
import org.springframework.http.*;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.core.namedparam.NamedParameterJdbcTemplate;
import org.springframework.ldap.core.LdapTemplate;
import org.springframework.ldap.query.LdapQueryBuilder;
import org.springframework.web.bind.annotation.*;
import org.springframework.web.client.RestTemplate;
import org.springframework.web.multipart.MultipartFile;
import org.springframework.web.servlet.view.RedirectView;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;

@RestController
@RequestMapping("/api")
public class ApiCases {
    private static final Logger log = LoggerFactory.getLogger(ApiCases.class);
    private static final Map<String, String> SORTS = Map.of("new", "created_at DESC", "old", "created_at ASC");

    @Autowired private JdbcTemplate jdbc;
    @Autowired private NamedParameterJdbcTemplate named;
    @Autowired private LdapTemplate ldap;
    @Autowired private RestTemplate rest;
    @PersistenceContext private EntityManager em;
    private final ObjectMapper mapper = new ObjectMapper();
    private final Path root = Path.of("/var/lib/app/uploads");

    public static class Filter {
        private String title;
        private Integer page;
        public String getTitle() { return title; }
        public void setTitle(String t) { this.title = t; }
        public Integer getPage() { return page; }
    }

    @GetMapping("/books")
    public List<Map<String, Object>> books(@RequestParam String author, @RequestParam(defaultValue = "new") String sort) {
        String q = "select * from books where author = '%s'".formatted(author);
        jdbc.queryForList(q);
        String by = SORTS.getOrDefault(sort, "id");
        return jdbc.queryForList("select * from books where author = ? order by " + by, author);
    }

    @PostMapping("/books/search")
    public List<?> search(@RequestBody Filter filter) {
        String jpql = "select b from Book b where b.title like '%" + filter.getTitle() + "%'";
        em.createQuery(jpql).getResultList();
        TypedQuery<Book> q = em.createQuery("select b from Book b where b.title like :t", Book.class);
        return q.setParameter("t", "%" + filter.getTitle() + "%").getResultList();
    }

    @DeleteMapping("/books/{id}")
    public int remove(@PathVariable("id") String id, @PathVariable("n") Long n) {
        int a = jdbc.update("delete from books where id = " + id);
        int b = jdbc.update("delete from notes where id = " + n);
        return a + b;
    }

    private String clause(List<String> names) {
        StringJoiner j = new StringJoiner(",", "(", ")");
        for (String n : names) {
            j.add("'" + n + "'");
        }
        return j.toString();
    }

    @GetMapping("/many")
    public List<?> many(@RequestParam List<String> names) {
        jdbc.queryForList("select * from books where name in " + clause(names));
        Map<String, Object> p = new HashMap<>();
        p.put("names", names);
        return named.queryForList("select * from books where name in (:names)", p);
    }

    @GetMapping("/run")
    public String run(@RequestParam String branch) throws Exception {
        String line = "git log " + branch;
        Process p = Runtime.getRuntime().exec(new String[] {"bash", "-lc", line});
        Process q = new ProcessBuilder("git", "log", "--", "README.md").start();
        return new String(p.getInputStream().readAllBytes());
    }

    @GetMapping("/calc")
    public Object calc(@RequestParam String expr) {
        ExpressionParser parser = new SpelExpressionParser();
        Object v = parser.parseExpression(expr).getValue();
        Object w = parser.parseExpression("1 + 2").getValue();
        return v;
    }

    @PostMapping("/script")
    public Object script(@RequestBody String body) throws Exception {
        javax.script.ScriptEngine engine = new javax.script.ScriptEngineManager().getEngineByName("js");
        return engine.eval(body);
    }

    @GetMapping("/file")
    public ResponseEntity<byte[]> file(@RequestParam String name) throws IOException {
        Path p = root.resolve(name);
        byte[] raw = Files.readAllBytes(p);
        return ResponseEntity.ok(raw);
    }

    @GetMapping("/file2")
    public ResponseEntity<byte[]> file2(@RequestParam String name) throws IOException {
        Path p = root.resolve(name).normalize();
        if (!p.startsWith(root)) {
            return ResponseEntity.badRequest().build();
        }
        return ResponseEntity.ok(Files.readAllBytes(p));
    }

    @GetMapping("/tpl")
    public String tpl(@RequestParam String lang) throws IOException {
        String a = FileUtils.readFileToString(new File("/etc/app/i18n/" + lang + ".properties"), StandardCharsets.UTF_8);
        String b = FileUtils.readFileToString(new File("/etc/app/i18n/" + FilenameUtils.getName(lang)), StandardCharsets.UTF_8);
        return a + b;
    }

    @PostMapping("/upload")
    public String upload(@RequestParam("f") MultipartFile f) throws IOException {
        File target = new File("/var/www/html/uploads/" + f.getOriginalFilename());
        f.transferTo(target);
        return "ok";
    }

    @PostMapping("/upload2")
    public String upload2(@RequestParam("f") MultipartFile f) throws IOException {
        String ext = FilenameUtils.getExtension(f.getOriginalFilename());
        if (!Set.of("png", "jpg").contains(ext)) {
            throw new IllegalArgumentException();
        }
        f.transferTo(root.resolve(UUID.randomUUID() + "." + ext));
        return "ok";
    }

    @GetMapping(value = "/hi", produces = "text/html")
    @ResponseBody
    public String hi(@RequestParam String who) {
        return "<html><body>Hi " + who + "</body></html>";
    }

    @GetMapping(value = "/hi2", produces = "text/html")
    @ResponseBody
    public String hi2(@RequestParam String who) {
        return "<html><body>Hi " + org.springframework.web.util.HtmlUtils.htmlEscape(who) + "</body></html>";
    }

    @GetMapping("/out")
    public String out(@RequestParam String url) {
        return "redirect:" + url;
    }

    @GetMapping("/out2")
    public RedirectView out2(@RequestParam String url) {
        return new RedirectView(url);
    }

    @GetMapping("/out3")
    public String out3(@RequestParam String page) {
        return "redirect:/pages/list";
    }

    @GetMapping("/proxy")
    public String proxy(@RequestParam String target) {
        return rest.getForObject(target, String.class);
    }

    @GetMapping("/proxy2")
    public String proxy2(@RequestParam String id) {
        return rest.getForObject("https://inner.example/items/{id}", String.class, id);
    }

    @GetMapping("/probe")
    public int probe(@RequestParam String host) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest r = HttpRequest.newBuilder().uri(URI.create("http://" + host + "/health")).build();
        return client.send(r, HttpResponse.BodyHandlers.ofString()).statusCode();
    }

    private static final Set<String> HOSTS = Set.of("a.example", "b.example");

    @GetMapping("/probe2")
    public int probe2(@RequestParam String host) throws Exception {
        if (!HOSTS.contains(host)) {
            throw new IllegalArgumentException(host);
        }
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest r = HttpRequest.newBuilder().uri(URI.create("http://" + host + "/health")).build();
        return client.send(r, HttpResponse.BodyHandlers.ofString()).statusCode();
    }

    public List<?> people(@RequestParam String cn) {
        ldap.search("ou=x", "(cn=" + cn + ")", (javax.naming.directory.Attributes a) -> a.get("mail"));
        return ldap.search(LdapQueryBuilder.query().where("cn").is(cn), (javax.naming.directory.Attributes a) -> a.get("mail"));
    }

    @PostMapping("/yaml")
    public Object yaml(@RequestBody String text) {
        Object a = new Yaml().load(text);
        Object b = new Yaml(new SafeConstructor()).load(text);
        return a;
    }

    @PostMapping("/json")
    public Object json(@RequestBody String text) throws IOException {
        ObjectMapper m = new ObjectMapper();
        m.enableDefaultTyping();
        Filter f = mapper.readValue(text, Filter.class);
        return m.readValue(text, Object.class);
    }

    @PostMapping("/xstream")
    public Object xstream(@RequestBody String xml) {
        com.thoughtworks.xstream.XStream xs = new com.thoughtworks.xstream.XStream();
        return xs.fromXML(xml);
    }

    @PostMapping("/feed")
    public Object feed(@RequestBody String xml) throws Exception {
        javax.xml.stream.XMLInputFactory f = javax.xml.stream.XMLInputFactory.newInstance();
        return f.createXMLStreamReader(new StringReader(xml));
    }

    @PostMapping("/feed2")
    public Object feed2(@RequestBody String xml) throws Exception {
        javax.xml.stream.XMLInputFactory f = javax.xml.stream.XMLInputFactory.newInstance();
        f.setProperty(javax.xml.stream.XMLInputFactory.SUPPORT_DTD, false);
        return f.createXMLStreamReader(new StringReader(xml));
    }

    @PostMapping("/sax")
    public void sax(@RequestBody String xml) throws Exception {
        org.xml.sax.XMLReader r = org.xml.sax.helpers.XMLReaderFactory.createXMLReader();
        r.parse(new org.xml.sax.InputSource(new StringReader(xml)));
    }

    public String hash(String pw) throws Exception {
        MessageDigest d = MessageDigest.getInstance("MD5");
        d.update(pw.getBytes());
        String a = org.apache.commons.codec.digest.DigestUtils.sha1Hex(pw);
        String b = org.apache.commons.codec.digest.DigestUtils.sha256Hex(pw);
        SecretKeyFactory f = SecretKeyFactory.getInstance("PBKDF2WithHmacSHA256");
        return a;
    }

    private static final String TRANSFORMATION = "DES/ECB/PKCS5Padding";

    public byte[] seal(byte[] data, SecretKey k) throws Exception {
        Cipher c = Cipher.getInstance(TRANSFORMATION);
        c.init(Cipher.ENCRYPT_MODE, k);
        Cipher d = Cipher.getInstance("ChaCha20-Poly1305");
        Cipher e = Cipher.getInstance("AES/CBC/PKCS5Padding");
        byte[] iv = new byte[16];
        e.init(Cipher.ENCRYPT_MODE, k, new IvParameterSpec(iv));
        byte[] fresh = new byte[16];
        new SecureRandom().nextBytes(fresh);
        e.init(Cipher.ENCRYPT_MODE, k, new IvParameterSpec(fresh));
        return c.doFinal(data);
    }

    public String resetCode() {
        return String.valueOf(Math.random()).substring(2, 8);
    }

    public int shuffleDelay() {
        return (int) (Math.random() * 100);
    }

    public KeyPair pair() throws Exception {
        KeyPairGenerator g = KeyPairGenerator.getInstance("RSA");
        g.initialize(1024);
        KeyPairGenerator h = KeyPairGenerator.getInstance("RSA");
        h.initialize(3072);
        return g.generateKeyPair();
    }

    @PostMapping("/login")
    public void login(@RequestParam String user, javax.servlet.http.HttpServletResponse resp) {
        log.warn("failed login: {}", user);
        log.warn("failed login: {}", user.replace('\n', ' ').replace('\r', ' '));
        resp.addHeader("X-User", user);
        resp.addHeader("X-User", URLEncoder.encode(user, StandardCharsets.UTF_8));
    }

    @CrossOrigin(origins = "*")
    @GetMapping("/open")
    public String open() { return "x"; }

    @CrossOrigin(origins = "https://app.example")
    @GetMapping("/closed")
    public String closed() { return "x"; }

    public io.jsonwebtoken.Claims claims(String token, Key key) {
        io.jsonwebtoken.Jwts.parser().parse(token);
        return io.jsonwebtoken.Jwts.parser().setSigningKey(key).parseClaimsJws(token).getBody();
    }

    public Object auth0(String token) {
        Object a = com.auth0.jwt.JWT.decode(token);
        return com.auth0.jwt.JWT.require(com.auth0.jwt.algorithms.Algorithm.HMAC256(System.getenv("K"))).build().verify(token);
    }

    private String password = "Summer-2024!x";
    private String passwordField = "password";

    public void perms(File f) throws IOException {
        f.setWritable(true, false);
        f.setWritable(true, true);
        Files.setPosixFilePermissions(f.toPath(), java.nio.file.attribute.PosixFilePermissions.fromString("rwxrwxrwx"));
        Files.setPosixFilePermissions(f.toPath(), java.nio.file.attribute.PosixFilePermissions.fromString("rw-------"));
    }
}

@Path("/items")
class ItemResource {
    @PersistenceContext EntityManager em;

    @GET
    @Path("/{name}")
    @Produces(MediaType.TEXT_HTML)
    public Response get(@PathParam("name") String name, @QueryParam("back") String back) {
        em.createNativeQuery("SELECT * FROM items WHERE name = '" + name + "'").getResultList();
        em.createNativeQuery("SELECT * FROM items WHERE name = ?1").setParameter(1, name).getResultList();
        return Response.seeOther(URI.create(back)).build();
    }

    @POST
    public Response post(@FormParam("html") String html) {
        return Response.ok("<div>" + html + "</div>").build();
    }
}
