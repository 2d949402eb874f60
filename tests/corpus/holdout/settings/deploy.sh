#!/bin/sh
curl -H "Authorization: Bearer s6R3uYEIi75qB4sA9Q0NksyRRM3NQTCmyv4mwaQw" https://api.internal.test/deploy
curl -H "Authorization: Bearer $TOKEN" https://api.internal.test/deploy
git clone https://deploy:Ss92m5QQkYOqQAVW@git.internal.test/app.git
git clone https://git.internal.test/app.git
export ADMIN_PASSWORD=Qz73ToA33wQza
export ADMIN_PASSWORD_FILE=/run/secrets/admin
