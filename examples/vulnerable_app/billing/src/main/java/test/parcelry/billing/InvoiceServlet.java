package test.parcelry.billing;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.ObjectInputStream;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Map;
import javax.naming.NamingException;
import javax.naming.directory.DirContext;
import javax.naming.directory.SearchControls;
import javax.servlet.ServletException;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import javax.sql.DataSource;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.owasp.encoder.Encode;
import org.xml.sax.SAXException;

public class InvoiceServlet extends HttpServlet {
    private static final Map<String, String> RATES =
        Map.of("eu", "https://rates.partner.test/eu", "us", "https://rates.partner.test/us");

    private final DataSource source;
    private final DirContext directory;

    public InvoiceServlet(DataSource source, DirContext directory) {
        this.source = source;
        this.directory = directory;
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response)
            throws ServletException, IOException {
        String customer = request.getParameter("customer");
        try (Connection connection = source.getConnection();
             Statement statement = connection.createStatement()) {
            ResultSet rows = statement.executeQuery("SELECT * FROM invoices WHERE customer = '" + customer + "'");
            writeRows(rows, response);
        } catch (SQLException e) {
            throw new ServletException(e);
        }
    }

    void byNumber(HttpServletRequest request, HttpServletResponse response) throws SQLException, IOException {
        String number = request.getParameter("number");
        try (Connection connection = source.getConnection();
             PreparedStatement statement = connection.prepareStatement("SELECT * FROM invoices WHERE number = ?")) {
            statement.setString(1, number);
            writeRows(statement.executeQuery(), response);
        }
    }

    void archive(HttpServletRequest request) throws IOException {
        String month = request.getParameter("month");
        Runtime.getRuntime().exec("/usr/local/bin/archive.sh " + month);
    }

    void rotate() throws IOException {
        new ProcessBuilder("/usr/local/bin/rotate.sh", "--quiet").start();
    }

    void download(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String name = request.getParameter("file");
        File file = new File("/srv/billing/invoices/" + name);
        Files.copy(file.toPath(), response.getOutputStream());
    }

    void terms(HttpServletResponse response) throws IOException {
        Path path = Paths.get("/srv/billing/static", "terms.pdf");
        Files.copy(path, response.getOutputStream());
    }

    void find(HttpServletRequest request) throws NamingException {
        String uid = request.getParameter("uid");
        directory.search("ou=staff", "(&(objectClass=person)(uid=" + uid + "))", new SearchControls());
    }

    void findStrict(HttpServletRequest request) throws NamingException {
        Object[] arguments = {request.getParameter("uid")};
        directory.search("ou=staff", "(&(objectClass=person)(uid={0}))", arguments, new SearchControls());
    }

    Object restore(HttpServletRequest request) throws IOException, ClassNotFoundException {
        ObjectInputStream stream = new ObjectInputStream(request.getInputStream());
        return stream.readObject();
    }

    int parse(HttpServletRequest request) throws ParserConfigurationException, SAXException, IOException {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        DocumentBuilder builder = factory.newDocumentBuilder();
        return builder.parse(request.getInputStream()).getChildNodes().getLength();
    }

    int parseStrict(HttpServletRequest request) throws ParserConfigurationException, SAXException, IOException {
        DocumentBuilderFactory strict = DocumentBuilderFactory.newInstance();
        strict.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        DocumentBuilder builder = strict.newDocumentBuilder();
        return builder.parse(request.getInputStream()).getChildNodes().getLength();
    }

    void greet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        response.getWriter().println("<p>Hello " + request.getParameter("name") + "</p>");
    }

    void greetStrict(HttpServletRequest request, HttpServletResponse response) throws IOException {
        response.getWriter().println("<p>Hello " + Encode.forHtml(request.getParameter("name")) + "</p>");
    }

    void leave(HttpServletRequest request, HttpServletResponse response) throws IOException {
        response.sendRedirect(request.getParameter("to"));
    }

    void home(HttpServletResponse response) throws IOException {
        response.sendRedirect("/billing/overview");
    }

    InputStream preview(HttpServletRequest request) throws IOException {
        return new URL(request.getParameter("url")).openStream();
    }

    InputStream rates(HttpServletRequest request) throws IOException {
        String address = RATES.getOrDefault(request.getParameter("region"), "https://rates.partner.test/eu");
        return new URL(address).openStream();
    }

    private void writeRows(ResultSet rows, HttpServletResponse response) throws SQLException, IOException {
        response.setContentType("text/plain");
        while (rows.next()) {
            response.getOutputStream().print(rows.getInt("total"));
        }
    }
}
