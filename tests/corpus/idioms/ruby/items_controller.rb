class ItemsController < ApplicationController
  before_action :load_name
  SORTS = %w[name price].freeze
  def load_name
    @name = params[:name]
  end
  def index
    @items = Item.where("name LIKE '%#{@name}%'")
  end
  def sorted
    col = SORTS.include?(params[:sort]) ? params[:sort] : 'name'
    @items = Item.order("#{col} ASC")
  end
  def ids
    ids = params[:ids].split(',').map(&:to_i)
    Item.where("id IN (#{ids.join(',')})")
  end
  def show
    id = Integer(params[:id])
    Item.find_by_sql("SELECT * FROM items WHERE id = #{id}")
  end
  def q
    sql = +"SELECT * FROM items WHERE 1=1"
    sql << " AND name = '#{params[:n]}'" if params[:n]
    ActiveRecord::Base.connection.execute(sql)
  end
  def run
    cmd = ['ls', params[:d]].join(' ')
    `#{cmd}`
  end
  def safe_run
    out, _ = Open3.capture2('ls', params[:d])
    render plain: out
  end
  def file
    name = File.basename(params[:f])
    send_file Rails.root.join('data', name)
  end
  def file2
    send_file Rails.root.join('data', params[:f])
  end
  def hi
    render inline: "<h1>#{params[:n]}</h1>"
  end
  def hi2
    render html: "<h1>#{ERB::Util.html_escape(params[:n])}</h1>".html_safe
  end
  def load
    obj = YAML.load(request.body.read)
    render json: obj
  end
  def upd
    Item.find(params[:id]).update(params.require(:item).permit(:name))
  end
  def upd2
    Item.find(params[:id]).update(params[:item].to_unsafe_h)
  end
  def go
    redirect_to params[:to]
  end
  def go2
    redirect_to(params[:to].start_with?('/') ? '/home' : root_path)
  end
  def each_cmd
    params[:cmds].each { |c| system("echo #{c}") }
  end
  def kase
    case params[:t]
    when 'a', 'b' then system("run #{params[:t]}")
    end
  end
  def esc
    system("ls #{Shellwords.escape(params[:d])}")
  end
  def rx
    return unless params[:d] =~ /\A[a-z]+\z/
    system("ls #{params[:d]}")
  end
  def snd
    Item.first.public_send(params[:m])
  end
  def helper(x) = "name = '#{x}'"
  def uses
    Item.where(helper(params[:x]))
  end
end
