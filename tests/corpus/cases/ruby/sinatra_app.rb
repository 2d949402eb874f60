require 'sinatra'
require 'sqlite3'
require 'open3'
require 'open-uri'
require 'net/http'
require 'net/ldap'
require 'digest'
require 'openssl'
require 'yaml'
require 'erb'
require 'nokogiri'
require 'securerandom'
require 'shellwords'
require 'jwt'
require 'logger'
require 'tempfile'
require 'pg'
require 'zip'

set :session_secret, 'a8f5f167f44f4964e6c998dee827110c'
set :show_exceptions, true
DB = SQLite3::Database.new('app.db')
ROOT = '/srv/files'.freeze
SORTS = { 'new' => 'created DESC', 'old' => 'created ASC' }.freeze
COLUMNS = %w[id name created].freeze
LOG = Logger.new($stdout)

def quoted(s)
  "'#{s}'"
end

class Query
  def initialize(table)
    @table = table
    @where = []
  end

  def add(col, val)
    @where << "#{col} = '#{val}'"
    self
  end

  def run(db)
    db.execute("SELECT * FROM #{@table} WHERE #{@where.join(' AND ')}")
  end

  def find(db, id)
    db.execute('SELECT * FROM items WHERE id = ?', [id])
  end
end

get '/items' do
  Query.new('items').add('color', params['color']).run(DB)
  DB.execute("SELECT * FROM items WHERE name = " + quoted(params[:name]))
  DB.execute("SELECT * FROM items ORDER BY #{SORTS.fetch(params[:sort], 'id')}")
  col = COLUMNS.include?(params[:col]) ? params[:col] : 'id'
  DB.execute("SELECT * FROM items ORDER BY #{col}")
  DB.execute(format("SELECT * FROM items WHERE name = '%s'", params[:name]))
  DB.execute("SELECT * FROM items LIMIT #{params[:n].to_i}")
  sql = +'SELECT * FROM items WHERE 1 = 1'
  sql << " AND name = '#{params[:name]}'" if params[:name]
  DB.execute(sql)
  ids = params[:ids].map(&:to_i)
  DB.execute("SELECT * FROM items WHERE id IN (#{ids.join(',')})")
  DB.execute("SELECT * FROM items WHERE id IN (%s)" % params[:ids].join(','))
end

get '/ping' do
  host = params[:host]
  `ping -c 1 #{host}`
  `ping -c 1 #{Shellwords.escape(host)}`
  system('ping', '-c', '1', host)
  system("ping -c 1 #{host}")
  out, _s = Open3.capture2("dig #{host}")
  out2, _s = Open3.capture2('dig', host)
  IO.popen("whois #{host}").read
  IO.popen(['whois', host]).read
  %x(host #{host})
  halt 400 unless host =~ /\A[a-z0-9.]+\z/
  system("traceroute #{host}")
  out + out2
end

post '/calc' do
  eval(params[:e])
  Object.const_get(params[:c]).new
  [1, 2].send(params[:m])
  [1, 2].public_send(%w[sum max].include?(params[:m]) ? params[:m] : 'sum')
  instance_eval("@x = #{params[:x]}")
  open(params[:f]).read
end

get '/file' do
  send_file File.join(ROOT, params[:f])
end

get '/file2' do
  full = File.expand_path(params[:f], ROOT)
  halt 403 unless full.start_with?(ROOT + '/')
  send_file full
end

get '/file3' do
  a = File.read("#{ROOT}/#{params[:f]}")
  b = File.read(File.join(ROOT, File.basename(params[:f])))
  File.delete(ROOT + '/' + params[:d])
  a + b
end

get '/hello' do
  content_type 'text/html'
  "<h1>Hello #{params[:name]}</h1>"
end

get '/hello2' do
  "<h1>Hello #{Rack::Utils.escape_html(params[:name])}</h1>"
end

get '/tpl' do
  erb "<p>#{params[:t]}</p>"
end

get '/tpl2' do
  erb '<p><%= h(params[:t]) %></p>'
end

get '/tpl3' do
  ERB.new(params[:t]).result(binding)
end

get '/go' do
  redirect params[:to]
end

get '/go2' do
  redirect to("/items/#{params[:id].to_i}")
end

get '/fetch' do
  a = Net::HTTP.get(URI(params[:url]))
  b = URI.open(params[:url]).read
  c = Net::HTTP.get(URI("https://api.example/items/#{params[:id].to_i}"))
  uri = URI.parse(params[:url])
  halt 403 unless %w[a.example b.example].include?(uri.host)
  d = Net::HTTP.get(uri)
  a + b + c + d
end

get '/people' do
  ldap = Net::LDAP.new
  ldap.search(base: 'dc=x', filter: "(uid=#{params[:uid]})")
  ldap.search(base: 'dc=x', filter: Net::LDAP::Filter.eq('uid', params[:uid]))
  doc = Nokogiri::XML(File.read('u.xml'))
  doc.xpath("//u[@n='#{params[:n]}']")
  doc.xpath('//u[@n=$n]', nil, n: params[:n])
end

post '/load' do
  Marshal.load(Base64.decode64(params[:s]))
  YAML.load(request.body.read)
  YAML.safe_load(request.body.read)
  JSON.parse(request.body.read)
  Nokogiri::XML(request.body.read) { |c| c.noent.dtdload }
  Nokogiri::XML(request.body.read)
end

def crypto(password, data, key)
  a = Digest::MD5.hexdigest(password)
  b = Digest::SHA256.hexdigest(data)
  c = OpenSSL::Digest.new('SHA1')
  d = OpenSSL::Cipher.new('des-ede3-cbc')
  e = OpenSSL::Cipher.new('aes-256-gcm')
  f = OpenSSL::Cipher::AES.new(256, :ECB)
  token = rand(10**20).to_s
  good = SecureRandom.hex(16)
  pick = [1, 2, 3].sample
  reset_token = (0...20).map { ('a'..'z').to_a[rand(26)] }.join
  [a, b, c, d, e, f, token, good, pick, reset_token]
end

def clients
  http = Net::HTTP.new('a.example', 443)
  http.use_ssl = true
  http.verify_mode = OpenSSL::SSL::VERIFY_NONE
  http.verify_mode = OpenSSL::SSL::VERIFY_PEER
  Faraday.new(url: 'https://a.example', ssl: { verify: false })
  URI.open('https://a.example', ssl_verify_mode: OpenSSL::SSL::VERIFY_NONE)
end

get '/me' do
  t = request.env['HTTP_AUTHORIZATION']
  JWT.decode(t, nil, false)
  JWT.decode(t, ENV['KEY'], true, algorithm: 'HS256')
  JWT.encode({ id: 1 }, 'sup3r-s1gning-key')
  response.set_cookie('sid', value: t)
  response.set_cookie('sid', value: t, secure: true, httponly: true, same_site: :lax)
  headers['Access-Control-Allow-Origin'] = '*'
  headers['X-Name'] = params[:n]
  LOG.info("user #{params[:u]}")
  LOG.info("user #{params[:u].inspect}")
end

post '/upload' do
  f = params[:file]
  File.open("public/#{f[:filename]}", 'wb') { |o| o.write(f[:tempfile].read) }
  File.open("public/#{SecureRandom.uuid}.png", 'wb') { |o| o.write(f[:tempfile].read) }
  File.chmod(0o777, 'public/x')
  File.chmod(0o600, 'public/x')
  File.write("/tmp/out.#{Process.pid}", 'x')
  Tempfile.create('x') { |t| t.write('x') }
end

def connect
  PG.connect(host: 'db', user: 'app', password: 'Hor5e-Battery')
  PG.connect(host: 'db', user: 'app', password: ENV.fetch('PG_PASSWORD'))
end
