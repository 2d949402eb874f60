# Back office: depots, drivers and reports.
require 'sinatra'
require 'active_record'
require 'digest'
require 'erb'
require 'json'
require 'net/http'
require 'net/ldap'
require 'nokogiri'
require 'open3'
require 'openssl'
require 'securerandom'
require 'yaml'

class Driver < ActiveRecord::Base
end

REPORTS = { 'daily' => 'reports/daily.txt', 'weekly' => 'reports/weekly.txt' }.freeze

get '/drivers' do
  Driver.where("name LIKE '%#{params[:q]}%'").to_json
end

get '/drivers/exact' do
  Driver.where('name = ?', params[:q]).to_json
end

get '/drivers/active' do
  Driver.where("state = 'active' AND deleted_at IS NULL").to_json
end

post '/backup' do
  system("tar czf /srv/backup/#{params[:name]}.tgz /srv/admin")
  status 204
end

post '/backup/strict' do
  system('tar', 'czf', '/srv/backup/admin.tgz', '/srv/admin')
  status 204
end

get '/whois' do
  host = params[:host]
  `whois #{host}`
end

get '/uptime' do
  out, = Open3.capture2('uptime')
  out
end

post '/formula' do
  result = eval(params[:formula])
  { result: result }.to_json
end

get '/greeting' do
  ERB.new("<h1>Hello #{params[:name]}</h1>").result
end

get '/clock' do
  ERB.new('<h1><%= Time.now %></h1>').result
end

post '/layout' do
  layout = Marshal.load(request.body.read)
  { count: layout.size }.to_json
end

post '/layout/yaml' do
  layout = YAML.unsafe_load(request.body.read)
  { count: layout.size }.to_json
end

post '/layout/strict' do
  layout = YAML.safe_load(request.body.read)
  { count: layout.size }.to_json
end

get '/reports' do
  File.read("reports/#{params[:name]}")
end

get '/reports/strict' do
  File.read(REPORTS.fetch(params[:name], 'reports/daily.txt'))
end

get '/leave' do
  redirect params[:to]
end

get '/home' do
  redirect '/drivers'
end

get '/probe' do
  Net::HTTP.get(URI(params[:url]))
end

get '/depots' do
  Net::HTTP.get(URI('https://north.depot.test/status'))
end

post '/manifest' do
  doc = Nokogiri::XML(request.body.read) { |config| config.noent.dtdload }
  doc.root.name
end

post '/manifest/strict' do
  doc = Nokogiri::XML(request.body.read) { |config| config.strict.nonet }
  doc.root.name
end

get '/staff' do
  directory = Net::LDAP.new(host: 'directory.parcelry.test')
  directory.search(base: 'ou=staff', filter: "(uid=#{params[:uid]})").to_json
end

get '/staff/strict' do
  directory = Net::LDAP.new(host: 'directory.parcelry.test')
  directory.search(base: 'ou=staff', filter: Net::LDAP::Filter.eq('uid', params[:uid])).to_json
end

def partner_connection(host)
  http = Net::HTTP.new(host, 443)
  http.use_ssl = true
  http.verify_mode = OpenSSL::SSL::VERIFY_NONE
  http
end

def depot_connection(host)
  http = Net::HTTP.new(host, 443)
  http.use_ssl = true
  http.verify_mode = OpenSSL::SSL::VERIFY_PEER
  http
end

def short_digest(text)
  Digest::MD5.hexdigest(text)
end

def long_digest(text)
  Digest::SHA256.hexdigest(text)
end

def invite_token
  rand(10**12).to_s(36)
end

def reset_token
  SecureRandom.hex(16)
end

def legacy_cipher
  OpenSSL::Cipher.new('des-ede3-cbc')
end

def cipher
  OpenSSL::Cipher.new('aes-256-gcm')
end
