<?php
declare(strict_types=1);

namespace Shop;

use PDO;
use mysqli;

const TABLE = 'items';
define('API_SECRET', 'q8Zr-77Lp-0aXe');
define('API_VERSION', '2024-01-01');

$sorts = ['new' => 'created DESC', 'old' => 'created ASC'];

function field(string $name, string $default = ''): string
{
    return isset($_GET[$name]) ? trim($_GET[$name]) : $default;
}

function quote(string $v): string
{
    return "'" . $v . "'";
}

class Repo
{
    private PDO $pdo;
    private array $where = [];
    private $name;

    public function __construct(PDO $pdo)
    {
        $this->pdo = $pdo;
        $this->name = $_POST['name'] ?? '';
    }

    public function add(string $col, string $val): self
    {
        $this->where[] = "$col = '$val'";
        return $this;
    }

    public function all(): array
    {
        $sql = 'SELECT * FROM ' . TABLE . ' WHERE ' . implode(' AND ', $this->where);
        return $this->pdo->query($sql)->fetchAll();
    }

    public function named(): array
    {
        return $this->pdo->query("SELECT * FROM items WHERE name = '{$this->name}'")->fetchAll();
    }

    public function byId(int $id): array
    {
        return $this->pdo->query("SELECT * FROM items WHERE id = $id")->fetchAll();
    }

    public function byName(string $n): array
    {
        $st = $this->pdo->prepare('SELECT * FROM items WHERE name = :n');
        $st->execute([':n' => $n]);
        return $st->fetchAll();
    }
}

$pdo = new PDO('mysql:host=db', 'app', 'Bl4ckb1rd!');
$pdo2 = new PDO('mysql:host=db', 'app', getenv('DB_PW'));
$my = new mysqli('db', 'app', $_ENV['PW'], 'shop');

$repo = new Repo($pdo);
$rows = $repo->add('color', $_GET['color'])->all();
$rows = $repo->byName(field('n'));

$q = sprintf("SELECT * FROM items WHERE name = %s", quote(field('name')));
$my->query($q);
$q = sprintf("SELECT * FROM items WHERE id = %d", $_GET['id']);
$my->query($q);
$safe = $my->real_escape_string($_GET['name']);
$my->query("SELECT * FROM items WHERE name = '$safe'");
$my->query("SELECT * FROM items WHERE id = $safe"); // escaped but not quoted
$order = $sorts[$_GET['sort']] ?? 'id';
$my->query("SELECT * FROM items ORDER BY $order");
mysqli_query($my, <<<SQL
    SELECT * FROM items
    WHERE name = '{$_REQUEST['name']}'
SQL);
$ids = array_map('intval', $_POST['ids']);
$my->query('SELECT * FROM items WHERE id IN (' . implode(',', $ids) . ')');
$my->query('SELECT * FROM items WHERE id IN (' . implode(',', $_POST['ids']) . ')');
$page = (int) ($_GET['page'] ?? 1);
$my->query('SELECT * FROM items LIMIT ' . $page * 10);

// commands
$host = $_GET['host'];
system("ping -c 1 $host");
system('ping -c 1 ' . escapeshellarg($host));
$out = `nslookup {$host}`;
if (preg_match('/^[a-z0-9.]+$/', $host)) {
    passthru("dig $host");
}
if (preg_match('/[a-z0-9.]+/', $host)) {
    passthru("dig $host");
}
proc_open('convert ' . $_FILES['f']['name'], [], $pipes);
mail($_POST['to'], 'x', 'y', '', '-f' . $_POST['from']);

// code
eval('$x = ' . $_POST['x'] . ';');
$f = $_GET['f'];
$f($_GET['a']);
$allowed = ['sum', 'avg'];
if (in_array($f, $allowed, true)) {
    echo call_user_func($f, [1, 2]);
}
call_user_func($_GET['cb'], 1);
assert($_GET['a'] > 1);
preg_replace('/.*/e', $_GET['r'], 'x');

// files
include 'pages/' . $_GET['page'] . '.php';
$pages = ['home' => 'home.php', 'about' => 'about.php'];
include $pages[$_GET['page']] ?? 'home.php';
require_once __DIR__ . '/lib/' . basename($_GET['lib']);
readfile('/srv/files/' . $_GET['f']);
$real = realpath('/srv/files/' . $_GET['f']);
if ($real === false || strpos($real, '/srv/files/') !== 0) {
    exit;
}
readfile($real);
file_put_contents('/srv/notes/' . $_POST['n'], $_POST['text']);
unlink('/srv/notes/' . (int) $_POST['id'] . '.txt');

// pages
echo '<h1>' . $_GET['title'] . '</h1>';
echo '<h1>' . htmlspecialchars($_GET['title'], ENT_QUOTES) . '</h1>';
print "Hello " . field('name');
printf('<p>%s</p>', $_COOKIE['theme']);
printf('<p>%d</p>', $_COOKIE['count']);
header('Content-Type: application/json');
echo json_encode(['q' => $_GET['q']]);
$name = $_GET['name'];
$name = strip_tags($name);
echo "<b>$name</b>";
?>
<p><?= $_GET['x'] ?></p>
<p><?= htmlentities($_GET['x']) ?></p>
<?php
header('Location: ' . $_GET['next']);
$next = $_GET['next'];
if (!str_starts_with($next, '/') || str_starts_with($next, '//')) {
    $next = '/';
}
header('Location: ' . $next);
header('X-User: ' . $_GET['u']);

// requests
$ch = curl_init($_GET['url']);
curl_setopt($ch, CURLOPT_SSL_VERIFYPEER, false);
curl_setopt($ch, CURLOPT_SSL_VERIFYHOST, 2);
curl_setopt($ch, CURLOPT_URL, 'http://' . $_GET['host'] . '/x');
file_get_contents($_POST['feed']);
file_get_contents('https://api.example/' . urlencode($_GET['id']));
$ctx = stream_context_create(['ssl' => ['verify_peer' => false]]);

// objects and XML
$o = unserialize($_COOKIE['cart']);
$o = unserialize($_COOKIE['cart'], ['allowed_classes' => false]);
$o = json_decode($_COOKIE['cart'], true);
$xml = simplexml_load_string($_POST['xml'], 'SimpleXMLElement', LIBXML_NOENT);
$xml = simplexml_load_string($_POST['xml']);
$doc = new \DOMDocument();
$doc->loadXML($_POST['xml'], LIBXML_NOENT | LIBXML_DTDLOAD);
$xp = new \DOMXPath($doc);
$xp->query("//u[@n='" . $_GET['n'] . "']");
$ld = ldap_connect('ldap://d');
ldap_search($ld, 'dc=x', '(uid=' . $_GET['uid'] . ')');
ldap_search($ld, 'dc=x', '(uid=' . ldap_escape($_GET['uid'], '', LDAP_ESCAPE_FILTER) . ')');

// cryptography
$h = md5($_POST['password']);
$h = password_hash($_POST['password'], PASSWORD_ARGON2ID);
$h = hash('sha1', $_POST['password']);
$h = hash('sha256', $blob);
$c = openssl_encrypt($d, 'des-ecb', $k);
$c = openssl_encrypt($d, 'aes-256-gcm', $k, 0, random_bytes(12), $tag);
$token = md5(uniqid((string) rand(), true));
$token = bin2hex(random_bytes(16));
$colour = mt_rand(0, 255);
$otp = mt_rand(100000, 999999);

// uploads, settings
move_uploaded_file($_FILES['f']['tmp_name'], 'uploads/' . $_FILES['f']['name']);
$ext = strtolower(pathinfo($_FILES['f']['name'], PATHINFO_EXTENSION));
if (in_array($ext, ['png', 'jpg'], true)) {
    move_uploaded_file($_FILES['f']['tmp_name'], 'uploads/' . bin2hex(random_bytes(8)) . '.' . $ext);
}
extract($_POST);
ini_set('display_errors', '1');
ini_set('display_errors', '0');
setcookie('sid', $id);
setcookie('sid', $id, ['secure' => true, 'httponly' => true, 'samesite' => 'Lax']);
header('Access-Control-Allow-Origin: *');
header('Access-Control-Allow-Origin: https://a.example');
chmod('/srv/x', 0777);
chmod('/srv/x', 0640);
error_log('login ' . $_POST['user']);
$tmp = '/tmp/' . getmypid() . '.csv';
file_put_contents($tmp, 'x');
$tmp = tempnam(sys_get_temp_dir(), 'x');
phpinfo();
