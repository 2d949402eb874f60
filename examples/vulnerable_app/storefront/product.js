'use strict';

const { DataTypes, Sequelize } = require('sequelize');

const sequelize = new Sequelize(process.env.DATABASE_URL || 'sqlite::memory:');

module.exports = sequelize.define('product', {
  name: DataTypes.STRING,
  price: DataTypes.INTEGER,
  approved: DataTypes.BOOLEAN,
});
