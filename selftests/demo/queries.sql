-- SPDX-License-Identifier: GPL-2.0-only
select count(*), sum(size), sum(installed), sum(touched) from package
select count(*), sum(n), sum(alternative), sum(length(needs)) from depends
select part, count(*), sum(touched), max(id) from package group by part order by part
select client, count(*), max(n), sum(n) from done group by client order by client
select section, count(*) c, sum(size) from package group by section order by c desc, section limit 10
select priority, count(*) from package group by priority order by priority
select name, size from package order by size desc, name limit 10
select name, version from package where name like 'lib%sql%' order by name limit 20
select needs, count(*) c from depends group by needs order by c desc, needs limit 10
select name from package where name not in (select needs from depends) order by id limit 10
select p.name, count(*) c from package p join depends d on d.id = p.id group by p.id order by c desc, p.name limit 10
select count(*) from depends d left join package p on p.name = d.needs where p.name is null
select count(distinct needs) from depends where alternative > 1
select length(text), count(*) c from package group by 1 order by c desc, 1 limit 10
select name, touched from package where touched = (select max(touched) from package) order by id limit 10
select id % 97, sum(touched) from package group by 1 order by 1
select min(name), max(name), min(version), max(version) from package
select substr(name, 1, 1), count(*) from package group by 1 order by 1
with recursive n(name) as (select 'sqlite3' union select d.needs from n join package p on p.name = n.name join depends d on d.id = p.id where d.alternative = 1) select count(*) from n
select name, text from package where text like '%in-memory%' order by name limit 20
