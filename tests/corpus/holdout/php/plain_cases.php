<?php

function case001($pdo)
{
    $sql = "SELECT * FROM t WHERE a = '" . $_POST['a'] . "'";
    return $pdo->query($sql);
}

function case002($pdo)
{
    $st = $pdo->prepare('SELECT * FROM t WHERE a = :a');
    $st->execute([':a' => $_POST['a']]);
    return $st;
}

function case003($link)
{
    $id = $_REQUEST['id'];
    return mysqli_query($link, "DELETE FROM t WHERE id = $id");
}

function case004($link)
{
    $id = intval($_REQUEST['id']);
    return mysqli_query($link, "DELETE FROM t WHERE id = $id");
}

function case005($link)
{
    $a = mysqli_real_escape_string($link, $_GET['a']);
    return mysqli_query($link, "SELECT * FROM t WHERE a = '$a'");
}

function case006($pg)
{
    return pg_query($pg, 'SELECT * FROM t WHERE a = ' . $_COOKIE['a']);
}

function case007($pg)
{
    return pg_query_params($pg, 'SELECT * FROM t WHERE a = $1', [$_COOKIE['a']]);
}

function case008($pdo)
{
    $a = $_GET['a'];
    $a = 'x';
    return $pdo->exec("DELETE FROM t WHERE a = '$a'");
}

function case009($pdo)
{
    $q = sprintf("UPDATE t SET b = 1 WHERE a = '%s'", $_GET['a']);
    return $pdo->exec($q);
}

function case010()
{
    system('ls ' . $_GET['dir']);
}

function case011()
{
    system('ls ' . escapeshellarg($_GET['dir']));
}

function case012()
{
    $out = `id {$_GET['user']}`;
    return $out;
}

function case013()
{
    passthru("cat " . $_POST['file']);
}

function case014()
{
    exec('uptime', $out);
    return $out;
}

function case015()
{
    $cmd = 'zip a.zip ' . $_POST['name'];
    $h = popen($cmd, 'r');
    pclose($h);
}

function case016()
{
    $h = proc_open(['zip', 'a.zip', $_POST['name']], [], $pipes);
    proc_close($h);
}

function case017()
{
    assert($_GET['check']);
}

function case018()
{
    $f = create_function('$a', $_POST['body']);
    return $f(1);
}

function case019()
{
    call_user_func($_GET['fn'], 1);
}

function case020()
{
    call_user_func('strtoupper', $_GET['s']);
}

function case021()
{
    // eval($_GET['x']);
    $s = 'eval($_GET["x"]);';
    return $s;
}

function case022()
{
    require_once $_GET['lib'];
}

function case023()
{
    require_once __DIR__ . '/lib/util.php';
}

function case024()
{
    $lang = $_COOKIE['lang'];
    include("lang/$lang.php");
}

function case025()
{
    $lang = in_array($_COOKIE['lang'], ['en', 'de'], true) ? $_COOKIE['lang'] : 'en';
    include("lang/$lang.php");
}

function case026()
{
    print '<p>' . $_GET['p'] . '</p>';
}

function case027()
{
    print '<p>' . htmlentities($_GET['p'], ENT_QUOTES) . '</p>';
}

function case028()
{
    $name = $_SERVER['HTTP_USER_AGENT'];
    echo "<td>$name</td>";
}

function case029()
{
    echo '<td>' . (int) $_GET['n'] . '</td>';
}

function case030()
{
    printf('<b>%s</b>', $_REQUEST['b']);
}

function case031()
{
    $x = unserialize(base64_decode($_POST['x']));
    return $x;
}

function case032()
{
    return unserialize($_POST['x'], ['allowed_classes' => false]);
}

function case033()
{
    header("Location: " . $_REQUEST['next']);
}

function case034()
{
    header('Content-Type: text/plain');
}

function case035()
{
    $url = $_POST['u'];
    header("Location: $url");
}

function case036()
{
    $ch = curl_init($_GET['u']);
    return curl_exec($ch);
}

function case037()
{
    $ch = curl_init();
    curl_setopt($ch, CURLOPT_URL, 'https://api.internal.test');
    return curl_exec($ch);
}

function case038()
{
    $ch = curl_init();
    curl_setopt($ch, CURLOPT_URL, $_POST['hook']);
    return curl_exec($ch);
}

function case039()
{
    return file_get_contents('/data/' . $_GET['f']);
}

function case040()
{
    return file_get_contents('/data/' . basename($_GET['f']));
}

function case041()
{
    unlink('/data/' . $_POST['f']);
}

function case042()
{
    $fh = fopen('/data/log.txt', 'a');
    fclose($fh);
}

function case043()
{
    $target = 'up/' . basename($_FILES['f']['name']);
    move_uploaded_file($_FILES['f']['tmp_name'], $target);
}

function case044()
{
    libxml_disable_entity_loader(false);
    return simplexml_load_string($_POST['xml'], 'SimpleXMLElement', LIBXML_NOENT);
}

function case045()
{
    return simplexml_load_string($_POST['xml']);
}

function case046($c, $u)
{
    return ldap_search($c, 'dc=test', "(uid=" . $_GET['u'] . ")");
}

function case047($c, $u)
{
    return ldap_search($c, 'dc=test', '(uid=' . ldap_escape($_GET['u'], '', LDAP_ESCAPE_FILTER) . ')');
}

function case048($p)
{
    return sha1($p);
}

function case049($p)
{
    return hash('sha256', $p);
}

function case050($p)
{
    return hash('md5', $p);
}

function case051($p)
{
    return crypt($p, 'ab');
}

function case052($d, $k)
{
    return openssl_encrypt($d, 'rc4', $k);
}

function case053($d, $k, $iv)
{
    return openssl_encrypt($d, 'aes-128-gcm', $k, OPENSSL_RAW_DATA, $iv, $tag);
}

function case054($d, $k)
{
    return mcrypt_encrypt(MCRYPT_DES, $k, $d, MCRYPT_MODE_ECB);
}

function case055()
{
    $token = md5(uniqid(rand(), true));
    return $token;
}

function case056()
{
    $token = random_int(0, 999999);
    return $token;
}

function case057()
{
    $password = str_shuffle('abcdefghij');
    return $password;
}

function case058($ch)
{
    curl_setopt($ch, CURLOPT_SSL_VERIFYHOST, 0);
}

function case059($ch)
{
    curl_setopt($ch, CURLOPT_SSL_VERIFYHOST, 2);
}

function case060()
{
    return stream_context_create(['ssl' => ['verify_peer' => false]]);
}

$dbPassword = 'Blue-Whale-8812';
$apiKey = getenv('API_KEY');
extract($_POST);
error_reporting(0);
phpinfo();
