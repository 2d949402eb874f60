<?php
class UserRepository {
    private PDO $pdo; private string $table = 'users';
    public function __construct(PDO $pdo) { $this->pdo = $pdo; }
    public function byName(string $name): array {
        return $this->pdo->query("SELECT * FROM users WHERE name = '$name'")->fetchAll();
    }
    public function byId(int $id): array {
        return $this->pdo->query("SELECT * FROM {$this->table} WHERE id = $id")->fetchAll();
    }
    public function prep($n) {
        $s = $this->pdo->prepare("SELECT * FROM {$this->table} WHERE n = :n");
        $s->execute([':n' => $n]);
    }
}
$repo = new UserRepository($pdo);
$repo->byName($_GET['name']);
function clean($s) { return htmlspecialchars($s, ENT_QUOTES); }
function bold($s) { return "<b>$s</b>"; }
echo bold($_GET['x']);
echo bold(clean($_GET['x']));
echo "Hello " . ($_GET['n'] ?? 'x');
?>
<p><?= $_GET['q'] ?></p>
<p><?= htmlspecialchars($_GET['q']) ?></p>
<?php
$pages = ['home' => 'home.php', 'about' => 'about.php'];
include $pages[$_GET['p']] ?? 'home.php';
include 'pages/' . $_GET['p'] . '.php';
$p = basename($_GET['p']); readfile("/data/$p");
readfile("/data/" . $_GET['p']);
if (preg_match('/^[a-z]+$/', $_GET['c'])) { system("ls " . $_GET['c']); }
if (preg_match('/[a-z]+/', $_GET['c'])) { system("ls " . $_GET['c']); }
system('ls ' . escapeshellarg($_GET['d']));
$ids = array_map('intval', explode(',', $_GET['ids']));
$pdo->query('SELECT * FROM t WHERE id IN (' . implode(',', $ids) . ')');
$w = []; foreach ($_GET as $k => $v) { $w[] = "$k = '$v'"; }
$pdo->query('SELECT * FROM t WHERE ' . implode(' AND ', $w));
$u = unserialize(base64_decode($_COOKIE['u']));
$u = unserialize($_COOKIE['u'], ['allowed_classes' => false]);
$fn = $_GET['fn']; $fn('x');
$f = fn($x) => "SELECT * FROM t WHERE a = '$x'";
$pdo->query($f($_POST['a']));
match ($_GET['m']) { 'a' => system('a'), default => null };
$name = $_FILES['f']['name']; move_uploaded_file($_FILES['f']['tmp_name'], "/var/www/up/$name");
$xml = simplexml_load_string(file_get_contents('php://input'), 'SimpleXMLElement', LIBXML_NOENT);
header('Location: ' . $_GET['to']);
$sql = sprintf("SELECT * FROM t WHERE id = %d AND n = '%s'", $_GET['id'], $pdo->quote($_GET['n'])); $pdo->query($sql);
$sql = sprintf("SELECT * FROM t WHERE n = '%s'", $_GET['n']); $pdo->query($sql);
$arr = ['a' => $_GET['a'], 'b' => 'ls']; system($arr['b']);
system($arr['a']);
[$x, $y] = explode(':', $_GET['xy']); system("ls $y");
