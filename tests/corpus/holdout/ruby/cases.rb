require 'active_record'
require 'digest'
require 'erb'
require 'faraday'
require 'haml'
require 'httparty'
require 'json'
require 'kernel'
require 'open-uri'
require 'openssl'
require 'psych'
require 'rexml/document'
require 'sequel'
require 'shellwords'
require 'sinatra/base'
require 'sqlite3'

class CasesController < ApplicationController
  def case001
    User.find_by_sql("SELECT * FROM users WHERE nick = '" + params[:nick] + "'")
  end

  def case002
    User.find_by_sql(['SELECT * FROM users WHERE nick = ?', params[:nick]])
  end

  def case003
    User.order("#{params[:by]} ASC")
  end

  def case004
    User.order(:nick)
  end

  def case005
    ActiveRecord::Base.connection.execute("UPDATE users SET seen = 1 WHERE id = #{params[:id]}")
  end

  def case006
    ActiveRecord::Base.connection.execute("UPDATE users SET seen = 1 WHERE id = #{params[:id].to_i}")
  end

  def case007
    User.where(nick: params[:nick])
  end

  def case008
    condition = "nick = '#{params[:nick]}'"
    User.where(condition).first
  end

  def case009
    condition = "nick = '#{params[:nick]}'"
    condition = "nick = 'root'"
    User.where(condition).first
  end

  def case010
    User.pluck(Arel.sql(params[:column]))
  end

  def case011
    User.create(params[:user].permit!)
  end

  def case012
    User.create(params.require(:user).permit(:nick))
  end

  def case013
    @user.update(params.to_unsafe_h)
  end

  def case014
    redirect_to params[:back]
  end

  def case015
    redirect_to root_path
  end

  def case016
    render inline: "<p>#{params[:p]}</p>"
  end

  def case017
    render inline: '<p><%= @p %></p>'
  end

  def case018
    render html: params[:p].html_safe
  end

  def case019
    render plain: params[:p]
  end

  def case020
    @note = raw(params[:note])
  end

  def case021
    @note = sanitize(params[:note])
  end

  def case022
    send_file "/data/#{params[:f]}"
  end

  def case023
    send_file Rails.root.join('public', 'terms.pdf')
  end

  def case024
    send_file File.join('/data', File.basename(params[:f]))
  end

  def case025
    File.open(Rails.root.join('uploads', params[:file].original_filename), 'wb') do |f|
      f.write(params[:file].read)
    end
  end

  def case026
    kind = params[:kind]
    kind.constantize.new
  end

  def case027
    @user.send(params[:method])
  end

  def case028
    @user.public_send(:refresh)
  end
end

class Cases < Sinatra::Base
  get '/101' do
    `ls #{params['dir']}`
  end

  get '/102' do
    `ls #{Shellwords.escape(params['dir'])}`
  end

  get '/103' do
    IO.popen("wc -l #{params['f']}").read
  end

  get '/104' do
    IO.popen(['wc', '-l', params['f']]).read
  end

  get '/105' do
    exec('stat ' + params['f'])
  end

  get '/106' do
    command = "stat #{params['f']}"
    spawn(command)
  end

  get '/107' do
    %x(uptime)
  end

  get '/108' do
    instance_eval(params['code'])
  end

  get '/109' do
    # eval(params['code'])
    text = 'eval(params["code"])'
    text
  end

  get '/110' do
    Haml::Engine.new(params['t']).render
  end

  get '/111' do
    "<b>#{params['name']}</b>"
  end

  get '/112' do
    "<b>#{ERB::Util.html_escape(params['name'])}</b>"
  end

  get '/113' do
    URI.open(params['u']).read
  end

  get '/114' do
    HTTParty.get(params['u']).code.to_s
  end

  get '/115' do
    Faraday.get('https://api.internal.test').status.to_s
  end

  get '/116' do
    Marshal.load(Base64.decode64(cookies['s']))
  end

  get '/117' do
    JSON.parse(cookies['s'])
  end

  post '/118' do
    Psych.unsafe_load(request.body.read)
  end

  post '/119' do
    IO.read(params['f'])
  end

  post '/120' do
    redirect to('/ok')
  end
end

def case201(text)
  Digest::SHA1.hexdigest(text)
end

def case202(text)
  OpenSSL::Digest.new('SHA512').hexdigest(text)
end

def case203(text)
  OpenSSL::Digest::MD5.digest(text)
end

def case204
  OpenSSL::Cipher.new('aes-128-ecb')
end

def case205
  OpenSSL::Cipher.new('rc4')
end

def case206
  OpenSSL::Cipher.new('chacha20-poly1305')
end

def case207
  token = Random.rand(1_000_000)
  token
end

def case208
  token = SecureRandom.uuid
  token
end

def case209(host)
  Net::HTTP.start(host, 443, use_ssl: true, verify_mode: OpenSSL::SSL::VERIFY_NONE)
end

def case210(host)
  Net::HTTP.start(host, 443, use_ssl: true)
end

def case211
  Faraday.new('https://a.test', ssl: { verify: false })
end

DB_PASSWORD = 'Quiet-Owl-5521'
MAIL_PASSWORD = ENV.fetch('MAIL_PASSWORD')

def case212(db, name)
  db.execute("SELECT * FROM t WHERE a = '#{name}'")
end

def case213(db, name)
  db.execute('SELECT * FROM t WHERE a = ?', [name])
end
