<?php
namespace App\Http\Controllers;

use Illuminate\Http\Request;
use Illuminate\Support\Facades\DB;
use Symfony\Component\HttpFoundation\RedirectResponse;
use Symfony\Component\Process\Process;
use Twig\Environment;
use GuzzleHttp\Client;
use App\Models\User;

define('DB_PASS', 'Lx93!vvPq0');
ini_set('display_errors', '1');

class ShopController extends Controller
{
    public function search(Request $request)
    {
        return DB::select("SELECT * FROM products WHERE name = '" . $request->input('name') . "'");
    }

    public function searchSafe(Request $request)
    {
        return DB::select('SELECT * FROM products WHERE name = ?', [$request->input('name')]);
    }

    public function raw(Request $request)
    {
        return DB::table('products')->whereRaw("price > {$request->get('min')}")->get();
    }

    public function sort(Request $request)
    {
        return DB::table('products')->orderByRaw($request->query('order'))->get();
    }

    public function store(Request $request)
    {
        return User::create($request->all());
    }

    public function storeSafe(Request $request)
    {
        return User::create($request->validate(['name' => 'required']));
    }

    public function out(Request $request)
    {
        return redirect($request->input('next'));
    }

    public function outSafe()
    {
        return redirect()->route('home');
    }

    public function file(Request $request)
    {
        return response()->download(storage_path('files/' . $request->name));
    }

    public function proxy(Request $request)
    {
        $client = new Client(['verify' => false]);
        return $client->get($request->input('url'))->getBody();
    }

    public function upload(Request $request)
    {
        $f = $request->file('avatar');
        $f->move(public_path('avatars'), $f->getClientOriginalName());
    }

    public function process(Request $request)
    {
        $p = Process::fromShellCommandline('convert ' . $request->input('args'));
        $p->run();
    }

    public function processSafe(Request $request)
    {
        $p = new Process(['convert', $request->input('file'), 'out.png']);
        $p->run();
    }

    public function twig(Environment $twig, Request $request)
    {
        return $twig->createTemplate($request->input('body'))->render([]);
    }
}

$id = $_GET['id'];
$db = new \mysqli('localhost', 'shop', getenv('DB_PASS'));
$rows = $db->query("SELECT * FROM users WHERE id = $id");

$pdo = new \PDO('sqlite:shop.db');
$stmt = $pdo->prepare("SELECT * FROM users WHERE mail = '" . $_POST['mail'] . "'");
$stmt->execute();

$stmt = $pdo->prepare('SELECT * FROM users WHERE mail = :mail');
$stmt->execute(['mail' => $_POST['mail']]);

$n = (int) $_GET['n'];
$pdo->query("SELECT * FROM users LIMIT $n");

system('ping -c 1 ' . $_REQUEST['host']);
system('ping -c 1 ' . escapeshellarg($_REQUEST['host']));
passthru("cat /var/log/{$_GET['log']}");
$out = `nslookup {$_GET['name']}`;

echo '<p>' . $_GET['message'] . '</p>';
echo '<p>' . htmlspecialchars($_GET['message'], ENT_QUOTES) . '</p>';
printf('<b>%s</b>', $_COOKIE['nick']);
?>
<title><?= $_SERVER['PHP_SELF'] ?></title> <?php

include 'pages/' . $_GET['page'] . '.php';
require_once __DIR__ . '/config.php';

eval('$total = ' . $_POST['formula'] . ';');
assert($_GET['check']);
$f = create_function('$x', $_POST['body']);
call_user_func($_GET['fn'], 1);
preg_replace('/(.*)/e', $_GET['r'], 'x');

$state = unserialize($_COOKIE['state']);
$state = json_decode($_COOKIE['state'], true);
$state = unserialize($blob, ['allowed_classes' => false]);

readfile('/srv/docs/' . $_GET['doc']);
readfile('/srv/docs/' . basename($_GET['doc']));
$text = file_get_contents($_GET['url']);
$ch = curl_init($_POST['hook']);
curl_setopt($ch, CURLOPT_SSL_VERIFYPEER, false);
curl_setopt($ch, CURLOPT_SSL_VERIFYHOST, 0);

$doc = new \DOMDocument();
$doc->loadXML(file_get_contents('php://input'), LIBXML_NOENT | LIBXML_DTDLOAD);
$doc->loadXML(file_get_contents('php://input'), LIBXML_NONET);

ldap_search($link, 'dc=example', "(uid={$_POST['user']})");
ldap_search($link, 'dc=example', '(uid=' . ldap_escape($_POST['user'], '', LDAP_ESCAPE_FILTER) . ')');

$hash = md5($password);
$hash = password_hash($password, PASSWORD_DEFAULT);
$sealed = openssl_encrypt($data, 'des-cbc', $key);
$sealed = openssl_encrypt($data, 'aes-256-gcm', $key, 0, $iv, $tag);
$token = md5(uniqid(mt_rand(), true));
$token = bin2hex(random_bytes(16));

header('Location: ' . $_GET['to']);
move_uploaded_file($_FILES['f']['tmp_name'], 'uploads/' . $_FILES['f']['name']);
extract($_POST);
