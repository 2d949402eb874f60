# Depots of the delivery network.
class DepotsController < ApplicationController
  def create
    @depot = Depot.new(params[:depot].permit!)
    @depot.save!
    render json: @depot
  end

  def update
    @depot = Depot.find(params[:id])
    @depot.update!(depot_params)
    render json: @depot
  end

  def show
    @depot = Depot.find(params[:id])
    @remark = params[:remark].html_safe
  end

  def summary
    @depot = Depot.find(params[:id])
    @remark = ERB::Util.html_escape(params[:remark])
  end

  private

  def depot_params
    params.require(:depot).permit(:name, :city)
  end
end
