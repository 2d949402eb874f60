class ApplicationController < ActionController::Base
  skip_before_action :verify_authenticity_token
end

class User < ApplicationRecord
  scope :named, ->(n) { where("name = '#{n}'") }
  scope :safe_named, ->(n) { where('name = ?', n) }

  def self.search(term)
    find_by_sql("SELECT * FROM users WHERE name LIKE '%" + term + "%'")
  end

  def self.search_safe(term)
    where('name LIKE ?', "%#{sanitize_sql_like(term)}%")
  end
end

class UsersController < ApplicationController
  SORTABLE = %w[name created_at].freeze
  before_action :load_user, only: %i[show update]

  def index
    @users = User.search(params[:q])
    @users = User.where("role = '#{params[:role]}'")
    @users = User.where(role: params[:role])
    @users = User.order("#{sort_column} #{sort_direction}")
    @users = User.order(params[:order])
    @users = User.joins("LEFT JOIN posts ON posts.id = #{params[:id]}")
    @users = User.where(['name = ?', params[:name]])
    ActiveRecord::Base.connection.execute("UPDATE users SET n = #{params[:n].to_i}")
    ActiveRecord::Base.connection.execute("UPDATE users SET n = #{params[:n]}")
    @count = User.count_by_sql(['SELECT count(*) FROM users WHERE n = ?', params[:n]])
    @users = User.find_by("email = '%s'" % params[:email])
    @users = User.pluck(Arel.sql(params[:col]))
  end

  def create
    User.create(params[:user].permit!)
    User.create(user_params)
    u = User.new(params.require(:user).permit(:name, :email))
    u.update(params.to_unsafe_h)
    redirect_to params[:return_to]
  end

  def update
    respond_to do |format|
      format.html { redirect_to(params[:next] || root_path) }
      format.json { render json: @user }
    end
  end

  def leave
    redirect_to user_path(params[:id])
  end

  def show
    render inline: "<p>#{params[:msg]}</p>"
  end

  def show2
    render html: "<p>#{params[:msg]}</p>".html_safe
  end

  def show3
    render plain: params[:msg]
  end

  def show4
    render html: helpers.content_tag(:p, params[:msg])
  end

  def raw_view
    @x = raw("<b>" + params[:b] + "</b>")
    @y = sanitize(params[:b])
  end

  def download
    path = Rails.root.join('files', params[:name])
    send_file(path)
  end

  def download2
    name = File.basename(params[:name])
    send_file(Rails.root.join('files', name))
  end

  def download3
    file = Attachment.find(params[:id])
    send_data(File.binread(file.path))
  end

  def page
    render params[:template]
  end

  def page2
    allowed = { 'a' => 'pages/a', 'b' => 'pages/b' }
    render allowed.fetch(params[:page], 'pages/a')
  end

  def run
    cmd = "convert #{params[:file]} out.png"
    system(cmd)
    Kernel.system('convert', params[:file], 'out.png')
    exec("ls " + params[:dir])
    spawn("sleep #{Integer(params[:n])}")
    Open3.popen3("grep #{params[:p]} x") { |i, o, e, t| o.read }
  end

  def meta
    klass = params[:type].constantize
    klass = { 'a' => A, 'b' => B }[params[:type]]
    klass.send(params[:m], 1)
    klass.class_eval("def x; #{params[:body]}; end")
  end

  def fetch
    HTTParty.get(params[:url])
    Faraday.get("http://#{params[:host]}/x")
    RestClient.get('https://api.example/x', params: { q: params[:q] })
    Net::HTTP.start(params[:host], 80) { |h| h.get('/') }
  end

  def login
    user = User.find_by(email: params[:email])
    if user && Digest::SHA1.hexdigest(params[:password]) == user.digest
      session[:user] = user.id
    end
    if user&.authenticate(params[:password])
      session[:user] = user.id
    end
    cookies[:token] = user.token
    cookies.encrypted[:token] = { value: user.token, secure: true, httponly: true }
    Rails.logger.info "login #{params[:email]}"
    user.update(api_key: SecureRandom.hex(20))
    user.update(reset_token: rand.to_s)
    user.password = 'Default#2024'
  end

  def import
    data = YAML.unsafe_load(params[:y])
    data = YAML.load(params[:y], permitted_classes: [Symbol]) # permitted
    obj = Oj.load(params[:j], mode: :object)
    obj = Oj.load(params[:j], mode: :strict)
    prefs = Marshal.load(cookies[:prefs])
    prefs = JSON.parse(cookies[:prefs])
  end

  def upload
    up = params[:file]
    File.open(Rails.root.join('public', 'uploads', up.original_filename), 'wb') do |f|
      f.write(up.read)
    end
    File.open(Rails.root.join('public', 'uploads', "#{SecureRandom.uuid}.png"), 'wb') do |f|
      f.write(up.read)
    end
  end

  private

  def load_user
    @user = User.find(params[:id])
  end

  def sort_column
    SORTABLE.include?(params[:sort]) ? params[:sort] : 'name'
  end

  def sort_direction
    params[:dir] == 'desc' ? 'desc' : 'asc'
  end

  def user_params
    params.require(:user).permit(:name, :email)
  end
end

Rails.application.configure do
  config.force_ssl = false
  config.consider_all_requests_local = true
  config.log_level = :info
  config.secret_key_base = 'd1f0c9b8a7e6f5d4c3b2a1908f7e6d5c'
  config.session_store :cookie_store, key: '_app', secure: false
  config.session_store :cookie_store, key: '_app', secure: true, httponly: true
end
