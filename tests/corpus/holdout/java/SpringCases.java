package test.cases;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.Map;
import javax.net.ssl.HostnameVerifier;
import javax.net.ssl.SSLSession;
import javax.net.ssl.X509TrustManager;
import org.apache.http.conn.ssl.NoopHostnameVerifier;
import org.springframework.jdbc.core.namedparam.NamedParameterJdbcTemplate;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.ModelAttribute;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;
import org.springframework.web.multipart.MultipartFile;
import org.springframework.web.servlet.ModelAndView;
import org.springframework.web.servlet.view.RedirectView;
import org.springframework.web.util.HtmlUtils;

@RestController
public class SpringCases {
    private final RestTemplate rest = new RestTemplate();
    private NamedParameterJdbcTemplate jdbc;

    @GetMapping("/101")
    public List<Map<String, Object>> case101(@RequestParam String city) {
        return jdbc.getJdbcTemplate().queryForList("SELECT * FROM shop WHERE city = '" + city + "'");
    }

    @GetMapping("/102")
    public List<Map<String, Object>> case102(@RequestParam String city) {
        return jdbc.queryForList("SELECT * FROM shop WHERE city = :city", Map.of("city", city));
    }

    @GetMapping("/103")
    public String case103(@RequestParam String url) {
        return rest.getForObject(url, String.class).trim();
    }

    @GetMapping("/104")
    public String case104(@RequestParam int id) {
        return rest.getForObject("https://api.internal.test/item/{id}", String.class, id);
    }

    @GetMapping("/105")
    public RedirectView case105(@RequestParam String to) {
        return new RedirectView(to);
    }

    @GetMapping("/106")
    public RedirectView case106() {
        return new RedirectView("/overview");
    }

    @GetMapping("/107")
    public ModelAndView case107(@RequestParam String to) {
        return new ModelAndView("redirect:" + to);
    }

    @GetMapping(value = "/108", produces = "text/html")
    public String case108(@RequestParam String name) {
        return "<p>Hello " + name + "</p>";
    }

    @GetMapping(value = "/109", produces = "text/html")
    public String case109(@RequestParam String name) {
        return "<p>Hello " + HtmlUtils.htmlEscape(name) + "</p>";
    }

    @PostMapping("/110")
    public void case110(@RequestParam MultipartFile file) throws IOException {
        file.transferTo(new File("/srv/up/" + file.getOriginalFilename()));
    }

    @PostMapping("/111")
    public void case111(@RequestParam MultipartFile file) throws IOException {
        if (!"image/png".equals(file.getContentType())) {
            throw new IOException("type");
        }
        file.transferTo(new File("/srv/up/" + java.util.UUID.randomUUID() + ".png"));
    }

    public HostnameVerifier case112() {
        return NoopHostnameVerifier.INSTANCE;
    }

    public HostnameVerifier case113() {
        return new HostnameVerifier() {
            @Override
            public boolean verify(String host, SSLSession session) {
                return "a.test".equals(host);
            }
        };
    }

    @GetMapping("/114")
    public String case114(@RequestParam String cmd) throws IOException {
        Process p = Runtime.getRuntime().exec("git log " + cmd);
        return String.valueOf(p.pid());
    }

    @GetMapping("/115")
    public String case115() throws IOException {
        Process p = Runtime.getRuntime().exec("git log -1");
        return String.valueOf(p.pid());
    }
}
