// `data` has `lanes` (names), `kinds` (name, colour), `events` (time, kind, lane, other lane or -1, words) in the
// order of time, and `spans` (kind, lane, from, to, words).
const LEFT = 110, ROW = 38, AXIS = 24, NEAR = 6, LISTED = 300;
const all = data.lanes.map((name, lane) => lane);
const last = Math.max(1e-6, ...data.events.map(e => e[0]), ...data.spans.map(s => s[3]));
const byId = id => document.getElementById(id);
const canvas = byId('canvas'), pen = canvas.getContext('2d'), tip = byId('tip');
const shown = data.kinds.map(() => true);
let from = 0, to = last * 1.01, words = '', chosen = -1, held = null, lanes = all, width = 0;

// What is to be seen may stand in the address: #from=10&to=20&find=words&hide=kind,kind
for (const part of location.hash.slice(1).split('&')) {
  const [name, value] = part.split('=').map(decodeURIComponent);
  if (name === 'from') from = +value;
  if (name === 'to') to = +value;
  if (name === 'find') words = value.toLowerCase();
  if (name === 'hide') value.split(',').forEach(kind => { shown[data.kinds.findIndex(k => k[0] === kind)] = false; });
}

data.kinds.forEach(([name, colour], kind) => {
  const label = document.createElement('label'), box = document.createElement('input'), patch = document.createElement('i');
  Object.assign(box, { type: 'checkbox', checked: shown[kind] });
  box.onchange = () => { shown[kind] = box.checked; draw(); };
  patch.style.background = colour;
  label.append(box, patch, name);
  byId('kinds').append(label);
});
byId('find').value = words;
byId('find').oninput = e => { words = e.target.value.toLowerCase(); chosen = -1; draw(); };
byId('all').onclick = () => { [from, to] = [0, last * 1.01]; draw(); };

const text = e => `${data.lanes[e[2]]} ${e[4]}${e[3] < 0 ? '' : ' ' + data.lanes[e[3]]}`;
const texts = data.events.map(e => text(e).toLowerCase());
const isShown = (e, n) => shown[e[1]] && (!words || texts[n].includes(words));
const x = t => LEFT + (t - from) / (to - from) * (width - LEFT - 10);
const time = px => from + (px - LEFT) / (width - LEFT - 10) * (to - from);
const y = lane => AXIS + lanes.indexOf(lane) * ROW + ROW / 2;
const seconds = (t, digits) => t.toFixed(digits) + ' s';

function visible() {
  const found = [];
  data.events.forEach((e, n) => { if (e[0] >= from && e[0] <= to && isShown(e, n)) found.push(n); });
  return found;
}

function lay() {
  // A search leaves the lanes that have something to do with it.
  const found = new Set();
  if (words) data.events.forEach((e, n) => { if (isShown(e, n)) { found.add(e[2]); found.add(e[3]); } });
  lanes = words && found.size ? all.filter(lane => found.has(lane)) : all;
  width = byId('lanes').clientWidth;
  const scale = window.devicePixelRatio || 1, height = AXIS + lanes.length * ROW + 8;
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.width = width + 'px';
  canvas.style.height = height + 'px';
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
}

function axis() {
  const step = 10 ** Math.floor(Math.log10((to - from) / 4));
  const every = (to - from) / step > 20 ? step * 5 : (to - from) / step > 8 ? step * 2 : step;
  const digits = Math.max(0, -Math.floor(Math.log10(every)));
  pen.textAlign = 'center';
  for (let t = Math.ceil(from / every) * every; t <= to; t += every) {
    pen.fillStyle = '#eee';
    pen.fillRect(x(t), AXIS - 6, 1, lanes.length * ROW + 6);
    pen.fillStyle = '#666';
    pen.fillText(seconds(t, digits), x(t), 12);
  }
}

function arrow(px, y0, y1, colour) {
  const down = Math.sign(y1 - y0), tipAt = y1 - down * 5;
  pen.strokeStyle = pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(px, y0);
  pen.lineTo(px, tipAt);
  pen.stroke();
  pen.beginPath();
  pen.moveTo(px, tipAt + down * 4);
  pen.lineTo(px - 3, tipAt - down * 3);
  pen.lineTo(px + 3, tipAt - down * 3);
  pen.fill();
}

function draw() {
  lay();
  pen.font = '11px Helvetica, Arial, sans-serif';
  axis();
  for (const lane of lanes) {
    pen.fillStyle = '#bbb';
    pen.fillRect(LEFT, y(lane), width - LEFT - 10, 1);
  }
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, 0, width - LEFT, canvas.height);
  pen.clip();
  // Failures are as high as their lane, what others think of it stands below, who looks for somebody above.
  const bands = { failures: [-15, 30, 0.25], marks: [8, 6, 0.8], failovers: [-14, 6, 0.8] };
  for (const [kind, lane, start, end, what] of data.spans) {
    if (!shown[kind] || end < from || start > to || !lanes.includes(lane)) continue;
    const [name, colour] = data.kinds[kind], [top, high, strength] = bands[name];
    const left = Math.max(x(start), LEFT), right = Math.max(x(end), left + 1);
    pen.globalAlpha = strength;
    pen.fillStyle = colour;
    pen.fillRect(left, y(lane) + top, right - left, high);
    pen.globalAlpha = 1;
    if (name === 'failures' && right - left > 40) {
      pen.textAlign = 'left';
      pen.fillStyle = '#900';
      pen.fillText(what, left + 3, y(lane) - 5, right - left - 6);
    }
  }
  const found = visible();
  for (const n of found) {
    const [t, kind, lane, other, , away] = data.events[n], colour = data.kinds[kind][1];
    if (other >= 0 && lanes.includes(other)) {
      const [a, b] = away ? [lane, other] : [other, lane];
      arrow(x(t), y(a), y(b), colour);
    } else {
      pen.fillStyle = colour;
      pen.beginPath();
      pen.arc(x(t), y(lane), data.kinds[kind][0] === 'fates' ? 5 : 2.5, 0, 7);
      pen.fill();
    }
  }
  pen.restore();
  pen.textAlign = 'left';
  for (const lane of lanes) {
    pen.fillStyle = '#222';
    pen.fillText(data.lanes[lane], 6, y(lane) + 4, LEFT - 12);
  }
  if (chosen >= 0) {
    pen.strokeStyle = '#d55e00';
    pen.strokeRect(x(data.events[chosen][0]) - 4, y(data.events[chosen][2]) - 9, 8, 18);
  }
  list(found);
}

function list(found) {
  const rows = found.slice(0, LISTED).map(n => {
    const row = document.createElement('tr');
    for (const cell of [seconds(data.events[n][0], 6), data.kinds[data.events[n][1]][0], text(data.events[n])]) {
      row.insertCell().textContent = cell;
    }
    row.cells[1].style.color = data.kinds[data.events[n][1]][1];
    row.className = n === chosen ? 'chosen' : '';
    row.onclick = () => { chosen = n; draw(); };
    return row;
  });
  byId('rows').replaceChildren(...rows);
  const more = found.length > LISTED ? `, the first ${LISTED} of them below` : '';
  byId('count').textContent = `${found.length} records from ${seconds(from, 3)} to ${seconds(to, 3)}${more}`;
}

function nearest(px, py) {
  let best = -1, far = NEAR;
  for (const n of visible()) {
    const [t, , lane, other] = data.events[n], ys = [lane, other].filter(l => lanes.includes(l)).map(y);
    const off = Math.max(0, Math.min(...ys) - 8 - py, py - Math.max(...ys) - 8);
    const away = Math.hypot(x(t) - px, off);
    if (away < far) [best, far] = [n, away];
  }
  return best;
}

function spanAt(px, py) {
  const t = time(px);
  return data.spans.filter(([kind, lane, start, end]) =>
    shown[kind] && start <= t && t <= end && lanes.includes(lane) && Math.abs(y(lane) - py) < ROW / 2);
}

const place = e => { const box = canvas.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
function zoom(by, t) {
  [from, to] = [t - (t - from) * by, t + (to - t) * by];
  [from, to] = [Math.max(from, 0), Math.min(to, last * 1.01)];
  if (to - from < 1e-6) to = from + 1e-6;
  draw();
}
function pan(by) {
  by = Math.max(by, -from);
  by = Math.min(by, Math.max(last * 1.01 - to, 0));
  [from, to] = [from + by, to + by];
  draw();
}
canvas.addEventListener('wheel', e => {
  const [px] = place(e);
  if (px < LEFT) return; // Lanes scroll.
  e.preventDefault();
  if (e.shiftKey) pan((e.deltaX + e.deltaY) / width * (to - from)); else zoom(Math.exp(e.deltaY / 400), time(px));
}, { passive: false });
canvas.addEventListener('pointerdown', e => { held = place(e)[0]; canvas.setPointerCapture(e.pointerId); });
canvas.addEventListener('pointerup', e => {
  const [px, py] = place(e);
  if (held !== null && Math.abs(px - held) < 3) { chosen = nearest(px, py); draw(); }
  held = null;
});
canvas.addEventListener('pointermove', e => {
  const [px, py] = place(e);
  if (e.buttons && held !== null && Math.abs(px - held) >= 3) {
    pan((held - px) / (width - LEFT - 10) * (to - from));
    held = px;
    return;
  }
  const n = nearest(px, py), spans = spanAt(px, py);
  const lines = n >= 0 ? [`${seconds(data.events[n][0], 6)}  ${text(data.events[n])}`]
    : spans.map(([kind, lane, start, end, what]) =>
      `${data.lanes[lane]}, ${data.kinds[kind][0]}: ${what}, ${seconds(start, 3)} to ${seconds(end, 3)}`);
  tip.style.display = lines.length ? 'block' : 'none';
  tip.style.left = Math.min(e.clientX + 12, window.innerWidth - 420) + 'px';
  tip.style.top = e.clientY + 14 + 'px';
  tip.textContent = lines.join('\n');
});
canvas.addEventListener('pointerleave', () => { tip.style.display = 'none'; });
document.addEventListener('keydown', e => {
  if (e.target.id === 'find') return;
  const middle = (from + to) / 2, step = (to - from) / 5;
  if (e.key === '+') zoom(0.7, middle);
  if (e.key === '-') zoom(1 / 0.7, middle);
  if (e.key === 'ArrowLeft') pan(-step);
  if (e.key === 'ArrowRight') pan(step);
  if (e.key === 'Home') byId('all').onclick();
});
window.addEventListener('resize', draw);
draw();
