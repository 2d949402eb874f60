<?php
namespace App\Http\Controllers;
use Illuminate\Http\Request; use Illuminate\Support\Facades\DB; use Illuminate\Support\Facades\Storage;
class C extends Controller {
    protected $q;
    public function a(Request $request) { return DB::select("select * from t where n = '" . $request->input('n') . "'"); }
    public function b(Request $request) { return DB::select('select * from t where n = ?', [$request->n]); }
    public function c(Request $r) { return DB::table('t')->orderByRaw($r->get('s'))->get(); }
    public function d(Request $r) { $v = $r->validate(['s' => 'in:asc,desc']); return DB::table('t')->orderBy('n', $v['s'])->get(); }
    public function e(Request $request) { $u = new User; $u->fill($request->all()); $u->save(); }
    public function f(Request $request) { $u = User::create($request->only(['name', 'email'])); return $u; }
    public function g(Request $request) { return Storage::download('files/' . basename($request->f)); }
    public function h(Request $request) { return response()->download(storage_path('files/' . $request->f)); }
    public function i(Request $request) { return redirect($request->query('to')); }
    public function j(Request $request) { return redirect()->route('home', ['x' => $request->x]); }
    public function k(Request $request) { $this->q = $request->q; return $this->run(); }
    private function run() { return DB::select("select * from t where q = '{$this->q}'"); }
    public function l(Request $request) { shell_exec('convert ' . $request->file('f')->getClientOriginalName()); }
    public function m(Request $request) { $p = new \Symfony\Component\Process\Process(['ls', $request->d]); $p->run(); }
    public function n(Request $request) { $id = (int) $request->id; return DB::select("select * from t where id = $id"); }
    public function o(Request $request) { return '<b>' . e($request->n) . '</b>'; }
    public function p(Request $request) { eval('$x = ' . $request->x . ';'); }
    public function q(Request $request) { $ids = collect($request->ids)->map(fn($i) => (int) $i)->implode(','); return DB::select("select * from t where id in ($ids)"); }
    public function r(Request $request) { $d = json_decode($request->getContent(), true); DB::statement("update t set n = '{$d['n']}'"); }
    public function s(Request $request) { $c = curl_init($request->u); curl_exec($c); }
    public function t(Request $request) { return Http::get('https://api.example/' . urlencode($request->u)); }
    public function u(Request $request) { if (!in_array($request->c, ['a', 'b'], true)) abort(400); system('run ' . $request->c); }
    public function v(Request $request) { $h = md5($request->password); User::where('h', $h)->first(); }
    public function w() { $t = bin2hex(random_bytes(16)); return $t; }
    public function x() { $token = md5(mt_rand()); return $token; }
    public function y(Request $request) { $doc = new \DOMDocument; $doc->loadXML($request->getContent(), LIBXML_NOENT | LIBXML_DTDLOAD); }
    public function z(Request $request) { $doc = new \DOMDocument; $doc->loadXML($request->getContent()); }
    public function za() { curl_setopt($c, CURLOPT_SSL_VERIFYPEER, false); }
    public function zb() { curl_setopt($c, CURLOPT_SSL_VERIFYPEER, true); }
    public function zc($d) { return openssl_encrypt($d, 'des-ecb', $k); }
    public function zd($d) { return openssl_encrypt($d, 'aes-256-gcm', $k, 0, $iv, $tag); }
    public function ze(Request $request) { ldap_search($c, 'dc=x', '(uid=' . $request->u . ')'); }
    public function zf(Request $request) { ldap_search($c, 'dc=x', '(uid=' . ldap_escape($request->u, '', LDAP_ESCAPE_FILTER) . ')'); }
}
