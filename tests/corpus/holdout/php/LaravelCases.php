<?php

namespace App\Http\Controllers;

use App\Models\Account;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Blade;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Http;
use Illuminate\Support\Facades\Storage;
use Illuminate\Support\Str;

class LaravelCases extends Controller
{
    public function case101(Request $request)
    {
        return DB::select("SELECT * FROM accounts WHERE nick = '" . $request->input('nick') . "'");
    }

    public function case102(Request $request)
    {
        return DB::select('SELECT * FROM accounts WHERE nick = ?', [$request->input('nick')]);
    }

    public function case103(Request $request)
    {
        return Account::whereRaw('score > ' . $request->score)->get();
    }

    public function case104(Request $request)
    {
        return Account::where('nick', $request->nick)->get();
    }

    public function case105(Request $request)
    {
        return DB::table('accounts')->orderByRaw($request->query('sort'))->get();
    }

    public function case106(Request $request)
    {
        return Account::create($request->all());
    }

    public function case107(Request $request)
    {
        return Account::create($request->only(['nick']));
    }

    public function case108(Request $request)
    {
        return redirect($request->input('to'));
    }

    public function case109()
    {
        return redirect('/home');
    }

    public function case110(Request $request)
    {
        return Http::get($request->input('u'))->body();
    }

    public function case111()
    {
        return Http::get('https://api.internal.test/v1')->body();
    }

    public function case112(Request $request)
    {
        return Blade::render($request->input('t'));
    }

    public function case113(Request $request)
    {
        return Storage::get($request->input('f'));
    }

    public function case114(Request $request)
    {
        $request->file('f')->move(public_path('up'), $request->file('f')->getClientOriginalName());
    }

    public function case115(Request $request)
    {
        $request->validate(['f' => 'required|image|max:1024']);
        return $request->file('f')->store('up');
    }

    public function case116()
    {
        return Str::random(40);
    }

    public function case117()
    {
        return Http::withoutVerifying()->get('https://a.test');
    }
}
