<?php

use Psr\Http\Message\ResponseInterface as Response;
use Psr\Http\Message\ServerRequestInterface as Request;
use Slim\Factory\AppFactory;
use Doctrine\DBAL\Connection;
use Symfony\Component\Yaml\Yaml;

$app = AppFactory::create();

$app->get('/users', function (Request $request, Response $response) use ($db) {
    $name = $request->getQueryParams()['name'];
    $rows = $db->fetchAllAssociative("SELECT * FROM users WHERE name = '" . $name . "'");
    return $response;
});

$app->get('/users2', function (Request $request, Response $response) use ($db) {
    $name = $request->getQueryParams()['name'];
    $rows = $db->fetchAllAssociative('SELECT * FROM users WHERE name = ?', [$name]);
    return $response;
});

$app->post('/hello', function (Request $request, Response $response) {
    $body = $request->getParsedBody();
    $response->getBody()->write('<p>Hello ' . $body['name'] . '</p>');
    return $response;
});

$app->post('/hello2', function (Request $request, Response $response) {
    $body = $request->getParsedBody();
    $response->getBody()->write('<p>Hello ' . htmlspecialchars($body['name']) . '</p>');
    return $response;
});

$app->get('/go', function (Request $request, Response $response) {
    return $response->withHeader('Location', $request->getQueryParams()['to'])->withStatus(302);
});

$app->get('/go2', function (Request $request, Response $response) {
    return $response->withHeader('Location', '/items/' . (int) $request->getQueryParams()['id'])->withStatus(302);
});

function wp_handler()
{
    global $wpdb;
    $id = $_GET['id'];
    $wpdb->get_results("SELECT * FROM {$wpdb->prefix}posts WHERE ID = $id");
    $wpdb->get_results($wpdb->prepare("SELECT * FROM {$wpdb->prefix}posts WHERE ID = %d", $id));
    echo '<div>' . esc_html($_GET['t']) . '</div>';
    echo "<div class='" . $_GET['c'] . "'>";
    wp_redirect($_REQUEST['redirect_to']);
}

class Mailer
{
    private $to;
    private $cmd = '/usr/sbin/sendmail';

    public function setTo($to)
    {
        $this->to = $to;
    }

    public function send()
    {
        $p = popen($this->cmd . ' ' . $this->to, 'w');
        pclose($p);
    }

    public function sendSafe()
    {
        $p = popen($this->cmd . ' ' . escapeshellarg($this->to), 'w');
        pclose($p);
    }
}

$m = new Mailer();
$m->setTo($_POST['to']);
$m->send();

function load_lang($lang)
{
    $allowed = array('en', 'de', 'fr');
    if (!in_array($lang, $allowed)) {
        $lang = 'en';
    }
    include "lang/$lang.php";
}
load_lang($_GET['lang']);

function load_theme($theme)
{
    require_once 'themes/' . $theme . '/index.php';
}
load_theme($_COOKIE['theme']);

function show_log()
{
    $file = 'logs/' . $_GET['date'] . '.log';
    if (file_exists($file)) {
        echo nl2br(htmlspecialchars(file_get_contents($file)));
    }
}

function show_log_safe()
{
    if (!preg_match('/^\d{4}-\d\d-\d\d$/', $_GET['date'])) {
        die('date');
    }
    echo file_get_contents('logs/' . $_GET['date'] . '.log');
}

function upload()
{
    $target = 'files/' . basename($_FILES['f']['name']);
    move_uploaded_file($_FILES['f']['tmp_name'], $target);
    $name = $_FILES['g']['name'];
    move_uploaded_file($_FILES['g']['tmp_name'], "files/$name");
}

function calc()
{
    $e = $_REQUEST['expr'];
    $r = eval("return $e;");
    return $r;
}

function calc_safe()
{
    $ops = ['add' => fn($a, $b) => $a + $b];
    $op = $_REQUEST['op'];
    if (!isset($ops[$op])) {
        return null;
    }
    return $ops[$op](1, 2);
}

function restore()
{
    $data = file_get_contents('php://input');
    return unserialize($data);
}

function restore_safe()
{
    $data = file_get_contents('php://input');
    return json_decode($data);
}

function fetch_feed()
{
    $c = curl_init();
    curl_setopt($c, CURLOPT_URL, $_GET['feed']);
    curl_setopt($c, CURLOPT_SSL_VERIFYHOST, 0);
    return curl_exec($c);
}

function fetch_feed_safe()
{
    $c = curl_init('https://feeds.example/' . rawurlencode($_GET['name']));
    curl_setopt($c, CURLOPT_SSL_VERIFYPEER, true);
    return curl_exec($c);
}

function login($db)
{
    $u = mysqli_real_escape_string($db, $_POST['u']);
    $r = mysqli_query($db, "SELECT * FROM users WHERE u = '$u'");
    $row = mysqli_fetch_assoc($r);
    if (md5($_POST['p']) === $row['p']) {
        setcookie('auth', $row['token'], time() + 3600, '/', '', false, true);
    }
    if (password_verify($_POST['p'], $row['h'])) {
        setcookie('auth', $row['token'], time() + 3600, '/', '', true, true);
    }
}

function token()
{
    return substr(str_shuffle('abcdefghijklmnopqrstuvwxyz0123456789'), 0, 20);
}

function token_safe()
{
    return bin2hex(openssl_random_pseudo_bytes(16));
}

function seal($data, $key)
{
    return openssl_encrypt($data, 'rc4', $key);
}

function seal_safe($data, $key)
{
    $iv = random_bytes(16);
    return $iv . openssl_encrypt($data, 'aes-256-cbc', $key, 0, $iv);
}

function parse($xml)
{
    libxml_disable_entity_loader(false);
    return simplexml_load_string($xml, null, LIBXML_DTDLOAD | LIBXML_NOENT);
}

function find($ds)
{
    $f = sprintf('(&(uid=%s)(objectClass=person))', $_GET['uid']);
    return ldap_search($ds, 'dc=x', $f);
}

$config = [
    'db' => ['user' => 'app', 'pass' => 'zR7-pLq2-99'],
    'cache' => ['ttl' => 60, 'prefix' => 'app_pass_'],
];
error_reporting(E_ALL);
ini_set('display_errors', 1);
