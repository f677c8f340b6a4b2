// Portkey's gateway listens on every address and has no setting for it: here it listens on loopback.
import net from 'node:net';

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, port, '127.0.0.1', ...rest.filter((r) => typeof r === 'function'));
};
