<?php
// The shop before the shop. Still answers for a handful of large customers.
ini_set('display_errors', '1');

$db = new mysqli('db', 'legacy', getenv('LEGACY_DB_PASSWORD'), 'legacy');
$pages = ['home' => 'pages/home.php', 'terms' => 'pages/terms.php'];

function order_list(mysqli $db)
{
    $customer = $_GET['customer'];
    return $db->query("SELECT * FROM orders WHERE customer = '$customer'");
}

function order_list_strict(mysqli $db)
{
    $statement = $db->prepare('SELECT * FROM orders WHERE customer = ?');
    $statement->bind_param('s', $_GET['customer']);
    $statement->execute();
    return $statement->get_result();
}

function order_count(mysqli $db)
{
    $id = (int) $_GET['id'];
    return $db->query("SELECT COUNT(*) FROM orders WHERE customer_id = " . $id);
}

function trace_route()
{
    return shell_exec('traceroute ' . $_GET['host']);
}

function trace_route_strict()
{
    return shell_exec('traceroute ' . escapeshellarg($_GET['host']));
}

function free_space()
{
    return shell_exec('df -h /srv');
}

function price($quantity)
{
    return eval('return ' . $_POST['formula'] . ';');
}

function show_page(array $pages)
{
    include 'pages/' . $_GET['page'] . '.php';
}

function show_page_strict(array $pages)
{
    $page = $pages[$_GET['page']] ?? 'pages/home.php';
    include $page;
}

function greet()
{
    echo '<p>Hello ' . $_GET['name'] . '</p>';
}

function greet_strict()
{
    echo '<p>Hello ' . htmlspecialchars($_GET['name'], ENT_QUOTES) . '</p>';
}

function basket()
{
    return unserialize($_COOKIE['basket']);
}

function basket_strict()
{
    return json_decode($_COOKIE['basket'] ?? '[]', true);
}

function leave()
{
    header('Location: ' . $_GET['to']);
    exit;
}

function home()
{
    header('Location: /shop.php');
    exit;
}

function save_picture()
{
    move_uploaded_file($_FILES['picture']['tmp_name'], 'uploads/' . $_FILES['picture']['name']);
}

function save_picture_strict()
{
    $type = (new finfo(FILEINFO_MIME_TYPE))->file($_FILES['picture']['tmp_name']);
    if ($type !== 'image/png') {
        return false;
    }
    return move_uploaded_file($_FILES['picture']['tmp_name'], 'uploads/' . bin2hex(random_bytes(8)) . '.png');
}

function receipt()
{
    readfile('receipts/' . $_GET['file']);
}

function receipt_strict()
{
    readfile('receipts/' . basename($_GET['file']));
}

function remote_stock()
{
    return file_get_contents($_GET['feed']);
}

function north_stock()
{
    return file_get_contents('https://north.depot.test/stock.json');
}

function partner_feed($url)
{
    $curl = curl_init('https://feed.partner.test/stock.xml');
    curl_setopt($curl, CURLOPT_SSL_VERIFYPEER, false);
    return curl_exec($curl);
}

function depot_feed($url)
{
    $curl = curl_init('https://north.depot.test/stock.xml');
    curl_setopt($curl, CURLOPT_SSL_VERIFYPEER, true);
    return curl_exec($curl);
}

function parse_feed($xml)
{
    $document = new DOMDocument();
    $document->loadXML($xml, LIBXML_NOENT | LIBXML_DTDLOAD);
    return $document;
}

function parse_feed_strict($xml)
{
    $document = new DOMDocument();
    $document->loadXML($xml, LIBXML_NONET);
    return $document;
}

function password_digest($password)
{
    return md5($password);
}

function password_digest_strict($password)
{
    return password_hash($password, PASSWORD_DEFAULT);
}

function coupon_token()
{
    return dechex(mt_rand());
}

function coupon_token_strict()
{
    return bin2hex(random_bytes(16));
}

function seal($text, $key)
{
    return openssl_encrypt($text, 'des-ecb', $key);
}

function seal_strict($text, $key, $nonce, &$tag)
{
    return openssl_encrypt($text, 'aes-256-gcm', $key, 0, $nonce, $tag);
}
