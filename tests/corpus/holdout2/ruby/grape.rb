require 'grape'
require 'sequel'
require 'mysql2'
require 'open3'
require 'rexml/document'
require 'net/http'
require 'faraday'
require 'digest/md5'
require 'openssl'
require 'securerandom'
require 'psych'
require 'tmpdir'

DB = Sequel.connect('postgres://app:pw-9f8Sx2@db/app')
CLIENT = Mysql2::Client.new(host: 'h', username: 'u', password: ENV['PW'])

class API < Grape::API
  get :search do
    DB.fetch("SELECT * FROM t WHERE name = '#{params[:q]}'").all
  end

  get :search2 do
    DB.fetch('SELECT * FROM t WHERE name = ?', params[:q]).all
  end

  get :search3 do
    DB[:t].where(name: params[:q]).all
  end

  get :raw do
    sql = 'SELECT * FROM t ORDER BY ' + params[:o]
    CLIENT.query(sql)
  end

  get :raw2 do
    name = CLIENT.escape(params[:n])
    CLIENT.query("SELECT * FROM t WHERE n = '#{name}'")
  end

  get :disk do
    `du -sh #{params[:dir]}`
  end

  get :disk2 do
    out, = Open3.capture2e('du', '-sh', params[:dir])
    out
  end

  get :disk3 do
    args = ['sh', '-c', "du -sh #{params[:dir]}"]
    system(*args)
  end

  get :file do
    IO.read("/srv/#{params[:f]}")
  end

  get :file2 do
    name = params[:f].gsub(/[^\w]/, '')
    File.read("/srv/#{name}.txt")
  end

  get :go do
    redirect params[:url]
  end

  get :fetch do
    Faraday.new(url: params[:u]).get.body
  end

  get :fetch2 do
    Net::HTTP.get(URI('https://a.example/x?q=' + CGI.escape(params[:q])))
  end

  post :load do
    Psych.unsafe_load(params[:y])
  end

  post :load2 do
    Psych.safe_load(params[:y])
  end

  post :ev do
    instance_eval(params[:code])
  end

  post :call do
    obj.public_send(params[:m].to_sym)
  end

  post :call2 do
    raise 'no' unless %w[a b].include?(params[:m])
    obj.public_send(params[:m])
  end
end

class ReportsController < ApplicationController
  def show
    @report = Report.where("title = '" + params[:t] + "'").first
    @ok = Report.where('title = :t', t: params[:t]).first
  end

  def export
    send_file "exports/#{params[:name]}.csv"
  end

  def create
    Report.create!(params.require(:report).permit!)
  end

  def create_ok
    Report.create!(params.require(:report).permit(:title))
  end

  def html
    render inline: params[:tpl]
  end

  def text
    render json: { t: params[:t] }
  end

  def note
    flash[:notice] = "Hi #{params[:n]}".html_safe
  end

  def out
    redirect_to URI.parse(params[:u]).path
  end

  def jump
    redirect_to params.fetch(:u), allow_other_host: true
  end
end

def fingerprint(password)
  Digest::MD5.base64digest(password)
end

def fingerprint_ok(data)
  Digest::SHA512.base64digest(data)
end

def cipher
  OpenSSL::Cipher.new('RC4')
end

def cipher_ok
  OpenSSL::Cipher.new('AES-256-GCM')
end

def session_id
  Random.rand(1_000_000_000).to_s
end

def session_id_ok
  SecureRandom.uuid
end

def client
  c = Net::HTTP.new('h', 443)
  c.verify_mode = OpenSSL::SSL::VERIFY_NONE
  c
end

def client_ok
  c = Net::HTTP.new('h', 443)
  c.use_ssl = true
  c
end

def scratch
  File.open('/tmp/report.csv', 'w') { |f| f.puts 'x' }
end

def scratch_ok
  Dir.mktmpdir { |d| File.write(File.join(d, 'x'), 'y') }
end

def perms
  FileUtils.chmod(0o777, 'x')
  FileUtils.chmod(0o600, 'x')
end

def xml(io)
  REXML::Document.new(io)
  Nokogiri::XML(io) { |c| c.options = Nokogiri::XML::ParseOptions::NOENT }
end
