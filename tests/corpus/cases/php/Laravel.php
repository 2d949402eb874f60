<?php

namespace App\Http\Controllers;

use App\Models\Post;
use App\Models\User;
use GuzzleHttp\Client;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\File;
use Illuminate\Support\Facades\Hash;
use Illuminate\Support\Facades\Http;
use Illuminate\Support\Facades\Log;
use Illuminate\Support\Facades\Storage;
use Illuminate\Support\Str;
use Symfony\Component\HttpFoundation\RedirectResponse;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\Process\Process;
use Twig\Environment;
use Twig\Loader\ArrayLoader;

class PostController extends Controller
{
    private array $columns = ['id', 'title'];
    protected $guarded = [];

    public function index(Request $request)
    {
        $q = $request->input('q');
        DB::select("SELECT * FROM posts WHERE title LIKE '%$q%'");
        DB::select('SELECT * FROM posts WHERE title LIKE ?', ["%$q%"]);
        Post::whereRaw("title = '" . $q . "'")->get();
        Post::whereRaw('title = ?', [$q])->get();
        Post::where('title', 'like', "%{$q}%")->get();
        DB::table('posts')->orderByRaw($request->query('sort'))->get();
        $sort = in_array($request->sort, $this->columns) ? $request->sort : 'id';
        DB::table('posts')->orderByRaw($sort . ' DESC')->get();
        DB::statement('DELETE FROM posts WHERE id = ' . (int) $request->id);
        DB::table('posts')->select(DB::raw('count(*) as c, ' . $request->get('col')))->get();
        DB::unprepared('DELETE FROM posts WHERE slug = "' . $request->slug . '"');
        return view('posts', compact('q'));
    }

    private function build(string $table, array $conds): string
    {
        $parts = [];
        foreach ($conds as $k => $v) {
            $parts[] = $k . '="' . $v . '"';
        }
        return 'SELECT * FROM ' . $table . ' WHERE ' . join(' AND ', $parts);
    }

    public function advanced(Request $request)
    {
        return DB::select($this->build('posts', $request->all()));
    }

    public function store(Request $request)
    {
        $post = Post::create($request->all());
        $post = Post::create($request->only(['title', 'body']));
        $post->update($request->validated());
        $user = Auth::user();
        $user->fill($request->input());
        $user->forceFill(['name' => $request->name]);
        return $post;
    }

    public function tool(Request $request)
    {
        $name = $request->input('name');
        exec('convert ' . $name . ' out.png');
        exec('convert ' . escapeshellarg($name) . ' out.png');
        $p = new Process(['convert', $name, 'out.png']);
        $p = Process::fromShellCommandline('convert ' . $name);
        $p->run();
        shell_exec(sprintf('identify %s', $name));
        Artisan::call('cache:clear');
        return $p->getOutput();
    }

    public function page(Request $request)
    {
        $name = $request->query('name');
        $html = '<h1>' . $name . '</h1>';
        return new Response($html);
    }

    public function page2(Request $request)
    {
        return response('<h1>' . e($request->name) . '</h1>');
    }

    public function page3(Request $request)
    {
        return response("<h1>{$request->input('name')}</h1>");
    }

    public function page4(Request $request)
    {
        return response()->json(['n' => $request->name]);
    }

    public function twig(Request $request)
    {
        $twig = new Environment(new ArrayLoader([]));
        $twig->createTemplate($request->input('t'))->render();
        $twig->createTemplate('Hi {{ n }}')->render(['n' => $request->n]);
        \Illuminate\Support\Facades\Blade::render($request->input('t'));
    }

    public function go(Request $request)
    {
        if ($request->has('legacy')) {
            return new RedirectResponse($request->get('url'));
        }
        return redirect($request->input('url'));
    }

    public function go2(Request $request)
    {
        return redirect()->route('posts.show', ['id' => $request->id]);
    }

    public function go3(Request $request)
    {
        return redirect()->away($request->input('u'));
    }

    public function fetch(Request $request)
    {
        $client = new Client(['verify' => false]);
        $client->get($request->input('u'));
        Http::get($request->u);
        Http::get('https://api.example/items', ['id' => $request->id]);
        Http::withoutVerifying()->get('https://api.example');
        $host = parse_url($request->u, PHP_URL_HOST);
        if (!in_array($host, ['a.example', 'b.example'], true)) {
            abort(403);
        }
        return Http::get($request->u)->body();
    }

    public function file(Request $request)
    {
        return response()->download(storage_path('app/' . $request->f));
    }

    public function file2(Request $request)
    {
        $name = basename($request->input('f'));
        return response()->download(storage_path('app/' . $name));
    }

    public function file3(Request $request)
    {
        return File::get(base_path('docs/' . $request->query('d')));
    }

    public function upload(Request $request)
    {
        $f = $request->file('avatar');
        $f->move(public_path('avatars'), $f->getClientOriginalName());
        $request->validate(['avatar' => 'required|image|max:1024']);
        $f->store('avatars');
        $f->storeAs('avatars', Str::uuid() . '.png');
    }

    public function account(Request $request)
    {
        $u = new User();
        $u->password = md5($request->password);
        $u->password = Hash::make($request->password);
        $u->api_token = sha1(time() . $u->email);
        $u->remember_token = Str::random(60);
        $u->reset_code = rand(1000, 9999);
        $data = unserialize(base64_decode($request->cookie('prefs')));
        Log::info('login ' . $request->input('user'));
        Log::info('login', ['user' => $request->input('user')]);
        return response('x')->cookie('sid', 'v', 60, '/', null, false, false);
    }

    public function xml(Request $request)
    {
        $d = new \DOMDocument();
        $d->resolveExternals = true;
        $d->substituteEntities = true;
        $d->loadXML($request->getContent());
        $r = new \XMLReader();
        $r->XML($request->getContent(), null, LIBXML_NOENT);
        $s = new \SimpleXMLElement($request->getContent());
    }

    public function calc(Request $request)
    {
        $x = $request->input('x');
        if (!is_numeric($x)) {
            abort(422);
        }
        return eval("return $x * 2;");
    }

    public function calc2(Request $request)
    {
        $fn = create_function('$a', 'return $a + ' . $request->x . ';');
        $cls = $request->input('type');
        return new $cls();
    }
}

class Config
{
    public const DB_PASSWORD = 'Qw3rty!zx';
    public const DB_PASSWORD_KEY = 'db.password';
    private string $apiToken = 'tok_4f9d8e7a6b5c4d3e2f1a';
    private ?string $token = null;
    public static array $mail = ['host' => 'm', 'username' => 'u', 'password' => 'N0tAGoodIdea'];
}
