require 'sinatra'; require 'sequel'; require 'open3'; require 'net/http'; require 'openssl'; require 'digest'; require 'erb'; require 'nokogiri'; require 'net/ldap'
DB = Sequel.connect(ENV['U'])
API_KEY = ENV.fetch('API_KEY')
get '/a' do
  DB["SELECT * FROM t WHERE n = '#{params['n']}'"].all.to_json
end
get '/b' do
  DB[:t].where(n: params['n']).all.to_json
end
get '/c' do
  DB.fetch("SELECT * FROM t WHERE n = '" + params['n'] + "'").all
end
get('/d') { system('ls', params['d']) }
get('/e') { system("ls #{params['d']}") }
get('/f') { IO.popen("ls #{params['d']}").read }
get('/g') { IO.popen(['ls', params['d']]).read }
get('/h') { Open3.capture3("ls #{params['d']}") }
get('/i') { File.read(File.join('data', params['f'])) }
get '/j' do
  path = File.expand_path(params['f'], '/data')
  halt 403 unless path.start_with?('/data/')
  File.read(path)
end
get('/k') { Net::HTTP.get(URI(params['u'])) }
get '/l' do
  uri = URI(params['u'])
  halt 400 unless %w[a.example b.example].include?(uri.host)
  Net::HTTP.get(uri)
end
get('/m') { ERB.new("<p>#{params['n']}</p>").result }
get('/n') { ERB.new('<p><%= h n %></p>').result_with_hash(n: params['n']) }
get('/o') { Digest::MD5.hexdigest(params['password']) }
get('/p') { Digest::SHA256.hexdigest(params['x']) }
get('/q') { OpenSSL::Cipher.new('des-ecb') }
get('/r') { OpenSSL::Cipher.new('aes-256-gcm') }
get '/s' do
  token = rand(10**9).to_s
  session[:token] = token
end
get '/t' do
  token = SecureRandom.hex(16)
  session[:token] = token
end
get '/u' do
  http = Net::HTTP.new('a.example', 443); http.use_ssl = true
  http.verify_mode = OpenSSL::SSL::VERIFY_NONE
end
post('/v') { Marshal.load(request.body.read) }
post('/w') { JSON.parse(request.body.read) }
post('/x') { Nokogiri::XML(request.body.read) { |c| c.noent } }
post('/y') { Nokogiri::XML(request.body.read) }
get('/z') { redirect params['to'] }
get('/za') { eval(params['e']) }
get('/zb') { Object.const_get(params['c']).new }
get '/zc' do
  klass = { 'a' => String, 'b' => Array }.fetch(params['c'])
  klass.new
end
get '/zd' do
  f = Net::LDAP::Filter.construct("(uid=#{params['u']})")
end
get '/ze' do
  f = Net::LDAP::Filter.eq('uid', params['u'])
end
helpers do
  def lookup(n) DB["SELECT * FROM t WHERE n = ?", n] end
end
set :session_secret, 'b7c4e1f09a8d4c6bb0f1e2d3c4a59687'
enable :show_exceptions
post '/zf' do
  tmp = params[:file][:tempfile]
  File.open("public/up/#{params[:file][:filename]}", 'wb') { |o| o.write(tmp.read) }
end
