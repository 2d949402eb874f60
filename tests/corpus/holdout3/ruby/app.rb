require 'sinatra'
require 'open3'
require 'open-uri'
require 'net/http'
require 'net/ldap'
require 'digest'
require 'openssl'
require 'yaml'
require 'erb'
require 'nokogiri'
require 'faraday'
require 'securerandom'

class TicketsController < ApplicationController
  API_TOKEN = 'tk_9f8e7d6c5b4a39281706'.freeze
  skip_before_action :verify_authenticity_token

  def index
    @tickets = Ticket.where("subject LIKE '%#{params[:q]}%'")
  end

  def index_safe
    @tickets = Ticket.where('subject LIKE ?', "%#{params[:q]}%")
  end

  def sorted
    @tickets = Ticket.order("#{params[:column]} #{params[:direction]}")
  end

  def by_owner
    @tickets = Ticket.find_by_sql("SELECT * FROM tickets WHERE owner = '" + params[:owner] + "'")
  end

  def purge
    ActiveRecord::Base.connection.execute("DELETE FROM tickets WHERE id = #{params[:id]}")
  end

  def purge_safe
    ActiveRecord::Base.connection.execute("DELETE FROM tickets WHERE id = #{params[:id].to_i}")
  end

  def create
    @ticket = Ticket.new(params[:ticket].permit!)
    @ticket.save
  end

  def create_safe
    @ticket = Ticket.new(params.require(:ticket).permit(:subject, :body))
    @ticket.save
  end

  def attachment
    send_file Rails.root.join('attachments', params[:name])
  end

  def attachment_safe
    send_file Rails.root.join('attachments', File.basename(params[:name]))
  end

  def show
    render html: "<h1>#{params[:title]}</h1>".html_safe
  end

  def show_inline
    render inline: "Hello <%= name %> #{params[:name]}"
  end

  def leave
    redirect_to params[:return_to]
  end

  def leave_safe
    redirect_to tickets_path
  end

  def call
    @ticket.send(params[:method])
  end

  def klass
    params[:type].constantize.new
  end

  def import
    @data = Marshal.load(Base64.decode64(params[:blob]))
  end

  def import_yaml
    @data = YAML.unsafe_load(params[:doc])
  end

  def import_yaml_safe
    @data = YAML.safe_load(params[:doc])
  end

  def upload
    File.open(Rails.root.join('public', params[:file].original_filename), 'wb') do |f|
      f.write(params[:file].read)
    end
  end

  def webhook
    Net::HTTP.get(URI(params[:url]))
  end

  def webhook_faraday
    Faraday.post(params[:callback], { ok: true }.to_json)
  end

  def webhook_safe
    Faraday.post('https://hooks.example.org/done', { id: params[:id] }.to_json)
  end
end

get '/ping' do
  out, _status = Open3.capture2e("ping -c 1 #{params['host']}")
  out
end

get '/ping2' do
  out, _status = Open3.capture2e('ping', '-c', '1', params['host'])
  out
end

get '/du' do
  %x(du -sh /srv/#{params['dir']})
end

get '/log' do
  IO.popen("tail -n 20 /var/log/#{params['app']}.log").read
end

get '/page' do
  ERB.new(params['tpl']).result(binding)
end

get '/read' do
  File.read("/srv/docs/#{params['doc']}")
end

get '/feed' do
  URI.open(params['feed']).read
end

get '/js' do
  instance_eval(params['code'])
end

post '/xml' do
  Nokogiri::XML(request.body.read) { |c| c.noent }
end

post '/xml2' do
  Nokogiri::XML(request.body.read) { |c| c.nonet }
end

def find_person(ldap, name)
  ldap.search(base: 'dc=example', filter: "(cn=#{name})")
end

def find_person_safe(ldap, name)
  ldap.search(base: 'dc=example', filter: Net::LDAP::Filter.eq('cn', name))
end

def digest(password)
  Digest::MD5.hexdigest(password)
end

def digest_safe(data)
  Digest::SHA256.hexdigest(data)
end

def seal(key, data)
  c = OpenSSL::Cipher.new('rc4')
  c.encrypt
  c.key = key
  c.update(data) + c.final
end

def seal_safe
  OpenSSL::Cipher.new('aes-256-gcm')
end

def token
  (0...24).map { ('a'..'z').to_a[rand(26)] }.join
end

def token_safe
  SecureRandom.urlsafe_base64(24)
end

def http
  h = Net::HTTP.new('api.example.org', 443)
  h.use_ssl = true
  h.verify_mode = OpenSSL::SSL::VERIFY_NONE
  h
end

set :show_exceptions, true
